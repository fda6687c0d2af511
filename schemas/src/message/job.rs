//! The job that an executor receives: everything it needs to run, but no secret and no outcome.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::archive::ArchiveRef;
use crate::artifact::{ArtifactLimits, ArtifactRequest};
use crate::egress::EgressPolicy;
use crate::id::{OrgId, ProjectId, RunId, TemplateId, TemplateVersionId};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    pub run_id: RunId,
    pub org_id: OrgId,
    pub project_id: ProjectId,
    pub command: String,
    pub template: TemplateRef,
    pub archive: ArchiveRef,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<ArtifactRequest>,
    pub timeout_ms: u64,
    /// UTC day in the keys of the run's objects, fixed when the run was created (`YYYY-MM-DD`).
    pub date: String,
    pub queued_at: Timestamp,
    /// W3C Trace Context of the run.
    pub traceparent: String,
    /// Sorted names of the command's environment variables. Their values come with the claim, encrypted: queues hold
    /// none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_keys: Vec<String>,
    /// Egress policy at the start of the run; absent for a run without network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<EgressPolicy>,
    /// The plan's bounds for the collection of artifacts at the start of the run.
    #[serde(default)]
    pub artifact_limits: ArtifactLimits,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TemplateRef {
    pub id: TemplateId,
    pub version_id: TemplateVersionId,
    pub slug: String,
    pub version: String,
    /// Root file system; absent where the executor's host presents its own `/usr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_fs: Option<RootFs>,
}

/// A root file system in the store: a tar, sorted and all owned by root, compressed with zstd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RootFs {
    pub key: String,
    /// Digest of the uncompressed tar, in lower-case hexadecimal.
    pub sha256: String,
    /// Size of the stored object.
    pub size_bytes: u64,
    /// Size of the uncompressed tar.
    pub tar_bytes: u64,
    /// Variables that the image sets for commands.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

impl RootFs {
    /// The digest in the notation of OCI.
    pub fn digest(&self) -> String {
        format!("sha256:{}", self.sha256)
    }
}
