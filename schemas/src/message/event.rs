//! What travels on `crownest.events.<partition>`: a head in JSON and, for a segment, one zstd frame behind it.
//! Layout: length of the head as a big-endian u32, the head, the frame. Nobody decompresses on the way.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::envelope::{DecodeError, decode_json, encode_json};
use crate::Timestamp;
use crate::egress::EgressReport;
use crate::event::ArtifactError;
use crate::id::{ArtifactId, CommandId, ExecutorId, RunId, SandboxId};
use crate::run::{CleanupStatus, FailureReason, OutcomeSource, RunStatus};
use crate::test_report::TestReport;
use crate::word::word_enum;

/// A message about one run. `attempt` is the fencing token: what an older attempt says is dropped.
/// `end`, if present, ends the run after the segment (if any) is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct EventMessage {
    pub run_id: RunId,
    /// The attempt that speaks; 0 when the run never reached an executor.
    pub attempt: u32,
    pub segment: Option<Segment>,
    pub end: Option<RunEnd>,
}

/// Consecutive events of one attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    pub first_seq: u64,
    pub last_seq: u64,
    /// Length of the NDJSON, in bytes.
    pub plain_bytes: u64,
    /// The last `status` event in the segment.
    pub status: Option<RunStatus>,
    /// One zstd frame of NDJSON.
    pub frame: Bytes,
}

/// Facts of an ending, from whoever established it. The collector decides nothing, it derives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RunEnd {
    /// An attempt came to its end.
    Finished(Box<Finished>),
    /// No (further) attempt will be made.
    Abandoned { reason: Verdict, source: OutcomeSource, at: Timestamp, message: Option<String> },
}

/// What an ending means for the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// The command ran to its end; the exit code comes from `wait()`.
    Exited {
        exit_code: i32,
    },
    Failed {
        reason: FailureReason,
    },
    Canceled,
}

/// Everything that an executor knows when an attempt is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finished {
    pub executor_id: ExecutorId,
    pub sandbox_id: SandboxId,
    pub command_id: CommandId,
    pub verdict: Verdict,
    /// What went wrong, for people; never needed to tell endings apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Exit code of the command where `wait()` returned one, also after a timeout or cancellation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Signal that ended the command, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    pub oom_killed: bool,
    pub cleanup: CleanupStatus,
    pub times: PhaseTimes,
    pub resources: Resources,
    pub limits: Limits,
    pub streams: StreamTotals,
    /// Secrets that were replaced in the output.
    #[serde(default)]
    pub redactions: u64,
    /// Streams that are not stored as a whole: longer than the output cap, or not read to their end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub truncated_streams: Vec<String>,
    pub artifacts: Vec<CollectedArtifact>,
    pub artifact_errors: Vec<ArtifactError>,
    /// Reports among the artifacts, in the same order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub test_reports: Vec<TestReport>,
    /// Absent for a run without network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<EgressReport>,
}

/// When each phase of the attempt ended; absent when it was never reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PhaseTimes {
    pub claimed_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extracted_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collected_at: Option<Timestamp>,
    /// End of the attempt, clean-up included.
    pub ended_at: Timestamp,
    /// Wall-clock time of the command in milliseconds, from a monotonic clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_ms: Option<u64>,
    /// Life of the sandbox in milliseconds, from a monotonic clock: what compute is metered by.
    pub sandbox_ms: u64,
}

/// What the kernel counted for the sandbox; absent where it does not tell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_user_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_system_ms: Option<u64>,
    /// How long the sandbox was held back by its CPU limit, which slows down and never ends a command; added up over the
    /// processors. Since 1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_throttled_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_peak_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub io_read_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub io_write_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids_peak: Option<u64>,
    /// Space taken in `/workspace`, beyond the archive, and in `/tmp` when the command had ended; absent without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_used_bytes: Option<u64>,
}

/// The limits that were in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    pub memory_bytes: u64,
    pub pids: u64,
    /// Thousandths of one processor; absent means no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_millis: Option<u64>,
    /// Of what the command writes to `/workspace` and `/tmp` together; absent means no limit but the disk's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
    pub timeout_ms: u64,
}

/// Bytes of output, counted after secrets were replaced, and how many of them are not stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamTotals {
    /// Counted before any cap.
    pub stdout_bytes: u64,
    pub stderr_bytes: u64,
    #[serde(default)]
    pub stdout_bytes_dropped: u64,
    #[serde(default)]
    pub stderr_bytes_dropped: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CollectedArtifact {
    pub id: ArtifactId,
    /// The path as it was requested.
    pub path: String,
    pub name: String,
    pub size_bytes: u64,
    pub sha256: String,
    pub content_type: String,
    pub object_key: String,
    pub created_at: Timestamp,
}

word_enum! {
    /// How an attempt ended.
    AttemptEnd: "one of exited, failed, timeout, canceled, lost" {
        Exited = "exited",
        Failed = "failed",
        Timeout = "timeout",
        Canceled = "canceled",
        Lost = "lost",
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    run_id: RunId,
    attempt: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    segment: Option<SegmentHead>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<RunEnd>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SegmentHead {
    first_seq: u64,
    last_seq: u64,
    plain_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<RunStatus>,
}

impl EventMessage {
    pub const CONTENT_TYPE: &str = "application/vnd.crownest.event.v1";

    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        let segment = self.segment.as_ref().map(|segment| SegmentHead {
            first_seq: segment.first_seq,
            last_seq: segment.last_seq,
            plain_bytes: segment.plain_bytes,
            status: segment.status,
        });
        let head = Head { run_id: self.run_id.clone(), attempt: self.attempt, segment, end: self.end.clone() };
        let head = encode_json(&head)?;
        let frame = self.segment.as_ref().map_or(&[][..], |segment| &segment.frame);
        let mut bytes = Vec::with_capacity(4 + head.len() + frame.len());
        bytes.extend_from_slice(&u32::try_from(head.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(frame);
        Ok(bytes)
    }

    pub fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        let length = bytes.first_chunk::<4>().ok_or(DecodeError::Truncated)?;
        let end = 4usize.checked_add(u32::from_be_bytes(*length) as usize).ok_or(DecodeError::Truncated)?;
        let head: Head = decode_json(bytes.get(4..end).ok_or(DecodeError::Truncated)?)?;
        let segment = head.segment.map(|segment| Segment {
            first_seq: segment.first_seq,
            last_seq: segment.last_seq,
            plain_bytes: segment.plain_bytes,
            status: segment.status,
            frame: bytes.slice(end..),
        });
        if segment.as_ref().is_some_and(|s| s.first_seq == 0 || s.last_seq < s.first_seq || s.frame.is_empty()) {
            return Err(DecodeError::Truncated);
        }
        Ok(Self { run_id: head.run_id, attempt: head.attempt, segment, end: head.end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_segment_with_an_end_round_trips() {
        let message = EventMessage {
            run_id: RunId::new(),
            attempt: 2,
            segment: Some(Segment {
                first_seq: 4,
                last_seq: 9,
                plain_bytes: 100,
                status: Some(RunStatus::Collecting),
                frame: Bytes::from_static(b"\x28\xb5\x2f\xfdframe"),
            }),
            end: Some(RunEnd::Abandoned {
                reason: Verdict::Failed { reason: FailureReason::InternalError },
                source: OutcomeSource::Broker,
                at: Timestamp::now(),
                message: None,
            }),
        };
        let bytes = Bytes::from(message.encode().unwrap());
        assert_eq!(EventMessage::decode(&bytes).unwrap(), message);
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes: Vec<u8>) {
            let _ = EventMessage::decode(&Bytes::from(bytes));
        }
    }
}
