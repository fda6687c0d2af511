//! Hints that may be lost: news for live streams, and runs that executors should stop. The database has the truth.

use serde::{Deserialize, Serialize};

use crate::id::RunId;

/// Fan-out on `crownest.live`: events up to `last_seq` are durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveNotice {
    pub runs: Vec<LiveRun>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveRun {
    pub run_id: RunId,
    pub last_seq: u64,
    /// True if `last_seq` is the terminal event.
    pub terminal: bool,
}

/// Fan-out on `crownest.control`, to all executors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Control {
    /// The run is canceled: stop whatever attempt is running.
    Cancel { run_id: RunId },
    /// A newer attempt was claimed: older attempts stop silently, since their messages are dropped.
    Fence { run_id: RunId, attempt: u32 },
}
