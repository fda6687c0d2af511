//! The substitute for a deleted artifact: the tombstone from the store, or the API's word for the deletion.

use schemas::Timestamp;
use schemas::artifact::tombstone::{DeletionReason, Tombstone};
use schemas::evidence::EvidenceArtifact;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::source::{self, Found, Source, tombstone_file};

const MAX_BYTES: u64 = 64 * 1024;

/// The API's word for a deletion, within its answer about the artifact: a short tombstone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    pub sha256: String,
    pub deleted_at: Timestamp,
    #[serde(default, rename = "reason", alias = "deletionReason", skip_serializing_if = "Option::is_none")]
    pub reason: Option<DeletionReason>,
}

#[derive(Debug)]
pub(super) enum Deletion {
    /// The store's own.
    Tombstone(Box<Tombstone>),
    Told(Told),
}

impl Deletion {
    pub(super) fn of(artifact: &EvidenceArtifact, source: &dyn Source) -> Found<Self> {
        let Some(name) = tombstone_file(artifact) else { return Ok(None) };
        let Some(bytes) = source::read(source, &name, MAX_BYTES)? else { return Ok(None) };
        let deletion = Self::parse(&bytes);
        deletion.map(Some).map_err(|error| format!("{name}: expected the tombstone of an artifact: {error}"))
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let content: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let Some(version) = content.get("schemaVersion") else {
            return serde_json::from_value(content).map(Self::Told).map_err(|error| error.to_string());
        };
        if !version.as_str().is_some_and(|version| version.starts_with("1.")) {
            return Err(format!("its version is {version}, which this program does not know"));
        }
        serde_json::from_value(content).map(Self::Tombstone).map_err(|error| error.to_string())
    }
}
