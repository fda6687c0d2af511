//! The public events of a run, as clients stream and replay them. One event is one line of JSON in the event log.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::api::run::WorkspaceRun;
use crate::artifact::ArtifactError;
use crate::id::ArtifactId;
use crate::run::RunStatus;

/// One thing that happened in a run. `seq` starts at 1, strictly increases and has no gaps over all attempts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    pub seq: u64,
    pub created_at: Timestamp,
    #[serde(flatten)]
    pub kind: EventKind,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum EventKind {
    Status {
        status: RunStatus,
    },
    /// Progress of the archive on its way into the sandbox, in bytes.
    ArchiveProgress {
        received_bytes: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size_bytes: Option<u64>,
    },
    Stdout(Output),
    Stderr(Output),
    ArtifactCollected {
        artifact_id: ArtifactId,
        path: String,
    },
    ArtifactError {
        error: ArtifactError,
    },
    /// Sent on idle streams only, never stored; carries the last stored `seq`.
    Heartbeat {},
    /// The last event of a run; every run has exactly one.
    Terminal {
        workspace_run: Box<WorkspaceRun>,
    },
    Error {
        code: String,
        message: String,
    },
}

/// A piece of a stream. `data` is the text; where the bytes are not valid UTF-8, `data` has replacement
/// characters and `bytes` has the exact bytes as base64, so that a raw replay is exact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    pub data: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<String>,
    /// A part of the stream is missing here, and `data` is empty: a reader that does not know this member prints
    /// nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub omitted: Option<Omitted>,
}

/// A part of a stream that was read from the command but not stored, because the stream is longer than the output cap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Omitted {
    /// Bytes of the stream before the missing part.
    pub offset: u64,
    /// Length of the missing part, in bytes.
    pub bytes: u64,
    /// Length of the whole stream, in bytes.
    pub total_bytes: u64,
}

impl Output {
    pub fn from_bytes(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self { data: text.to_owned(), bytes: None, omitted: None },
            Err(_) => Self {
                data: String::from_utf8_lossy(bytes).into_owned(),
                bytes: Some(STANDARD.encode(bytes)),
                omitted: None,
            },
        }
    }

    /// A piece without output, which tells that some is missing.
    pub fn omitted(omitted: Omitted) -> Self {
        Self { data: String::new(), bytes: None, omitted: Some(omitted) }
    }

    /// The exact bytes that the command wrote; `None` if `bytes` is not base64.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        match &self.bytes {
            None => Some(self.data.clone().into_bytes()),
            Some(encoded) => STANDARD.decode(encoded).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn events_have_the_shape_of_the_contract() {
        let at: Timestamp = "2026-01-31T12:00:00.000Z".parse().unwrap();
        let check = |kind, expected: serde_json::Value| {
            let event = Event { seq: 7, created_at: at, kind };
            let written = serde_json::to_value(&event).unwrap();
            let mut expected = expected;
            expected["seq"] = 7.into();
            expected["createdAt"] = "2026-01-31T12:00:00.000Z".into();
            assert_eq!(written, expected);
            assert_eq!(serde_json::from_value::<Event>(written).unwrap(), event);
        };
        use serde_json::json;
        check(EventKind::Status { status: RunStatus::Running }, json!({"type": "status", "status": "running"}));
        check(
            EventKind::ArchiveProgress { received_bytes: 3, size_bytes: None },
            json!({"type": "archive_progress", "receivedBytes": 3}),
        );
        check(EventKind::Stdout(Output::from_bytes(b"hi\n")), json!({"type": "stdout", "data": "hi\n"}));
        check(
            EventKind::Stderr(Output::from_bytes(b"\xff")),
            json!({"type": "stderr", "data": "\u{fffd}", "bytes": "/w=="}),
        );
        let omitted = Omitted { offset: 2, bytes: 5, total_bytes: 9 };
        check(
            EventKind::Stdout(Output::omitted(omitted)),
            json!({"type": "stdout", "data": "", "omitted": {"offset": 2, "bytes": 5, "totalBytes": 9}}),
        );
        check(EventKind::Heartbeat {}, json!({"type": "heartbeat"}));
    }

    proptest! {
        #[test]
        fn output_keeps_every_byte(bytes: Vec<u8>) {
            prop_assert_eq!(Output::from_bytes(&bytes).to_bytes(), Some(bytes));
        }
    }
}
