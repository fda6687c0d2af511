//! The findings of an audit, for people and for programs.

use schemas::id::RunId;
use schemas::transparency::checkpoint::Checkpoint;
use serde::Serialize;

/// A thing that was changed or removed, or that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Stable, for programs.
    pub code: &'static str,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_run_id: Option<RunId>,
}

impl Finding {
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), workspace_run_id: None }
    }

    pub fn of(run: &RunId, code: &'static str, message: impl Into<String>) -> Self {
        Self { workspace_run_id: Some(run.clone()), ..Self::new(code, message) }
    }
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub passed: bool,
    /// The origin of the keys that the log's signature was verified with.
    pub keys_from: String,
    /// False if these are only the keys that the server itself publishes: then the log fits together, and nothing is proven.
    pub keys_named: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_origin: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tree_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_hash: Option<String>,
    /// Size of the log at the last audit, which this one is proven to begin with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grown_from: Option<u64>,
    pub runs_checked: usize,
    /// Entries that were read, with `--full`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries_read: Option<u64>,
    /// Things that were changed or removed.
    pub problems: Vec<Finding>,
    pub not_checked: Vec<Finding>,
}

impl Report {
    pub fn saw(&mut self, checkpoint: &Checkpoint) {
        self.log_origin = Some(checkpoint.origin.clone());
        self.tree_size = Some(checkpoint.tree.size);
        self.root_hash = Some(hex::encode(checkpoint.tree.root));
    }
}
