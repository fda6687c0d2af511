//! Messages on `crownest.events.<partition>`: a head in JSON, followed by one zstd frame if there is a segment. Layout:
//! length of the head as a big-endian u32, the head, the frame. No service decompresses the frame on the way.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::ending::{RunEnd, Verdict};
use super::envelope::{DecodeError, EncodeError, decode_json, encode_json};
use crate::Timestamp;
use crate::id::RunId;
use crate::run::{OutcomeSource, RunStatus};

/// A message about one run. `attempt` is the fencing token: messages of older attempts are dropped. `end`, if present,
/// ends the run after the segment (if any) is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct EventMessage {
    pub run_id: RunId,
    /// Attempt that sends the message; 0 if the run never reached an executor.
    pub attempt: u32,
    pub segment: Option<Segment>,
    pub end: Option<RunEnd>,
}

/// Bytes of the NDJSON of a segment. The executor sends one when 64 KiB are full, and a single event adds at most 256 KiB.
pub const SEGMENT_PLAIN_BYTES: u64 = 1 << 20;
/// Bytes of a segment's frame: a little more than it holds, if that cannot be compressed.
pub const SEGMENT_FRAME_BYTES: usize = (1 << 20) + (64 << 10);
/// Number of the last event that a run can have: JSON keeps larger integers exact in some readers only.
pub const LAST_SEQ: u64 = 1 << 51;

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

impl Segment {
    /// The first thing that no segment can have. What is in the frame is for whoever decompresses it.
    fn fault(&self) -> Option<&'static str> {
        if self.first_seq == 0 || self.last_seq < self.first_seq || self.last_seq > LAST_SEQ {
            return Some("numbers that are not an interval from 1 on");
        }
        if self.frame.is_empty() || self.frame.len() > SEGMENT_FRAME_BYTES {
            return Some("no frame, or one that is too large");
        }
        if self.plain_bytes == 0 || self.plain_bytes > SEGMENT_PLAIN_BYTES {
            return Some("no events, or more bytes of them than a segment may have");
        }
        self.status.is_some_and(RunStatus::is_terminal).then_some("a status that only the collector sets")
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

    /// Ends a run now, without events: no (further) attempt will be made. `attempt` is 0 before the first claim.
    pub fn abandoned(
        run_id: RunId,
        attempt: u32,
        reason: Verdict,
        source: OutcomeSource,
        message: Option<String>,
    ) -> Self {
        let end = RunEnd::Abandoned { reason, source, at: Timestamp::now(), message };
        Self { run_id, attempt, segment: None, end: Some(end) }
    }

    /// Refuses what [`EventMessage::decode`] would refuse.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        if let Some(fault) = self.segment.as_ref().and_then(Segment::fault) {
            return Err(EncodeError::Segment(fault));
        }
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
        if let Some(fault) = segment.as_ref().and_then(Segment::fault) {
            return Err(DecodeError::Segment(fault));
        }
        Ok(Self { run_id: head.run_id, attempt: head.attempt, segment, end: head.end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::FailureReason;
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
