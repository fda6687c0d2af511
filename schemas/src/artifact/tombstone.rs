//! What is left of an artifact whose bytes were deleted: a document beside where they were.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::id::{ApiKeyId, ArtifactId, OrgId, ProjectId, RunId};
use crate::word::word_enum;

pub const SCHEMA_VERSION: &str = "1.0";

word_enum! {
    /// Why an artifact was deleted.
    DeletionReason: "client or retention" {
        /// A client asked for it.
        Client = "client",
        /// Its time was over.
        Retention = "retention",
    }
}

/// Written once, before the bytes go; the run's Evidence Bundle stays as it was sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tombstone {
    pub schema_version: String,
    pub artifact_id: ArtifactId,
    pub workspace_run_id: RunId,
    pub org_id: OrgId,
    pub project_id: ProjectId,
    /// As in the Evidence Bundle.
    pub path: String,
    pub name: String,
    /// Where the bytes were.
    pub object_key: String,
    pub size_bytes: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
    pub deleted_at: Timestamp,
    pub reason: DeletionReason,
    /// The API key that was used, if a client did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_by: Option<ApiKeyId>,
}

impl Tombstone {
    /// Where the tombstone of the artifact at this key is: beside its folder, so that no name of an artifact can be that
    /// of a tombstone.
    pub fn object_key(artifact: &str) -> Option<String> {
        let (folder, _) = artifact.rsplit_once('/')?;
        Some(format!("{folder}.tombstone.json"))
    }

    /// Whether both are about the same bytes.
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
