//! Facts about the end of a run, from which the collector derives its outcome.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::artifact::{ArtifactError, ArtifactLimits};
use crate::egress::EgressReport;
use crate::id::{ArtifactId, CommandId, ExecutorId, SandboxId};
use crate::run::{CleanupStatus, FailureReason, OutcomeSource};
use crate::test_report::TestReport;
use crate::word::word_enum;

/// Facts about an ending, from the service that established it. The collector only derives the outcome from them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RunEnd {
    /// An attempt ended.
    Finished(Box<Finished>),
    /// No (further) attempt will be made.
    Abandoned { reason: Verdict, source: OutcomeSource, at: Timestamp, message: Option<String> },
}

/// Meaning of an ending for the run.
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
    /// Explanation for people; never needed to tell endings apart.
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
    /// Number of secrets replaced in the output.
    #[serde(default)]
    pub redactions: u64,
    /// Streams that are not stored whole: longer than the output cap, or not read to their end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub truncated_streams: Vec<String>,
    pub artifacts: Vec<CollectedArtifact>,
    pub artifact_errors: Vec<ArtifactError>,
    /// Test reports among the artifacts, in the order of `artifacts`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub test_reports: Vec<TestReport>,
    /// Egress of the attempt; absent for a run without network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<EgressReport>,
}

/// Time at which each phase of the attempt ended; absent for a phase that was never reached.
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
    /// Life of the sandbox in milliseconds, from a monotonic clock; compute is metered by it.
    pub sandbox_ms: u64,
}

/// Counters of the kernel for the sandbox; absent where the kernel has none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_user_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_system_ms: Option<u64>,
    /// Time for which the CPU limit held the sandbox back, added up over the processors. The limit slows a command down
    /// and never ends it. Since 1.1.
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
    /// Space taken in `/workspace`, beyond the archive, and in `/tmp` when the command had ended; absent without a
    /// limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_used_bytes: Option<u64>,
}

/// The limits in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    pub memory_bytes: u64,
    pub pids: u64,
    /// Thousandths of one processor; absent means no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_millis: Option<u64>,
    /// Bytes that the command may write to `/workspace` and `/tmp` together; absent means no limit but the disk's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
    pub timeout_ms: u64,
    /// Bounds of the collection of artifacts. Since 1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<ArtifactLimits>,
}

/// Bytes of output, counted after secrets were replaced, and how many of them are not stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamTotals {
    /// Bytes of standard output, before any cap.
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
    /// Path as requested.
    pub path: String,
    pub name: String,
    pub size_bytes: u64,
    pub sha256: String,
    pub content_type: String,
    pub object_key: String,
    pub created_at: Timestamp,
}

word_enum! {
    /// Ending of an attempt.
    AttemptEnd: "one of exited, failed, timeout, canceled, lost" {
        Exited = "exited",
        Failed = "failed",
        Timeout = "timeout",
        Canceled = "canceled",
        Lost = "lost",
    }
}
