//! Tombstones of artifacts whose bytes were deleted: each is a document beside the place of the bytes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::id::{ApiKeyId, ArtifactId, OrgId, ProjectId, RunId};
use crate::word::word_enum;

pub const SCHEMA_VERSION: &str = "1.0";

word_enum! {
    /// Reason for the deletion of an artifact.
    DeletionReason: "client or retention" {
        /// A client asked for it.
        Client = "client",
        /// The retention period was over.
        Retention = "retention",
    }
}

/// Record of a deleted artifact, written once, before its bytes go; the run's Evidence Bundle stays as it was sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tombstone {
    pub schema_version: String,
    pub artifact_id: ArtifactId,
    pub workspace_run_id: RunId,
    pub org_id: OrgId,
    pub project_id: ProjectId,
    /// Path as in the Evidence Bundle.
    pub path: String,
    pub name: String,
    /// Key of the deleted object.
    pub object_key: String,
    pub size_bytes: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
    pub deleted_at: Timestamp,
    pub reason: DeletionReason,
    /// API key of the request, if a client deleted the artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_by: Option<ApiKeyId>,
}

impl Tombstone {
    /// Key of the tombstone of the artifact at this key: beside the artifact's folder, so that no artifact can have the
    /// key of a tombstone.
    pub fn object_key(artifact: &str) -> Option<String> {
        let (folder, _) = artifact.rsplit_once('/')?;
        Some(format!("{folder}.tombstone.json"))
    }

    /// True if both are about the same bytes.
    pub fn is_of_same(&self, other: &Self) -> bool {
        (&self.artifact_id, &self.sha256, self.size_bytes) == (&other.artifact_id, &other.sha256, other.size_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tombstone_is_never_where_an_artifact_could_be() {
        let of = |name: &str| Tombstone::object_key(&format!("runs/run=wsr_1/artifacts/art_1/{name}"));
        assert_eq!(of("tombstone.json").as_deref(), Some("runs/run=wsr_1/artifacts/art_1.tombstone.json"));
        assert_eq!(of("a"), of("b"));
        assert_eq!(Tombstone::object_key("nowhere"), None);
    }
}
