//! The job that an executor receives: everything it needs to run, but no secret and no outcome.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::egress::EgressPolicy;
use crate::id::{OrgId, ProjectId, RunId, TemplateId, TemplateVersionId};
use crate::test_report::ReportFormat;
use crate::{Timestamp, limits};

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
    /// The day of the run's objects, fixed when it was created (`YYYY-MM-DD`).
    pub date: String,
    pub queued_at: Timestamp,
    /// W3C Trace Context of the run.
    pub traceparent: String,
    /// Names of the variables of the command, sorted. The values come, encrypted, with the claim: queues hold none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_keys: Vec<String>,
    /// What the run may reach, as it was allowed when it was started; absent for a run without network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<EgressPolicy>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TemplateRef {
    pub id: TemplateId,
    pub version_id: TemplateVersionId,
    pub slug: String,
    pub version: String,
    /// Absent where the executor's host presents its own `/usr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_fs: Option<RootFs>,
}

/// A root file system in the store: a tar, sorted and all owned by root, compressed with zstd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RootFs {
    pub key: String,
    /// Of the tar, uncompressed; lower-case hexadecimal.
    pub sha256: String,
    /// Of the object.
    pub size_bytes: u64,
    /// Of the tar, uncompressed.
    pub tar_bytes: u64,
    /// Variables that its image sets for commands.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

impl RootFs {
    /// As OCI writes digests.
    pub fn digest(&self) -> String {
        format!("sha256:{}", self.sha256)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveRef {
    pub key: String,
    /// Lower-case hexadecimal.
    pub sha256: String,
    pub size_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ArtifactRequest {
    /// Relative to `/workspace`, or absolute beneath it: a file, a folder (collected as one tar), or if nothing has
    /// this name, a pattern with `*`, `?`, `[…]`, `{a,b}` and `**` for any number of folders, each match of which is
    /// collected. At most 4,096 bytes, without NUL.
    #[schemars(length(min = 1, max = limits::PATH_BYTES), regex(pattern = r"^[^\u0000]*$"))]
    pub path: String,
    /// The last part of the path when absent, with `.tar` behind it for a folder; not used for what matches a pattern. At most 255 bytes, without slashes and control characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::NAME_BYTES), regex(pattern = r"^[^\u0000-\u001f\u007f-\u009f/]*$"))]
    pub name: Option<String>,
    /// It is a test report, in this format: what cannot be read as one is an artifact error. Without it, `.xml` and
    /// `.json` files that begin like reports are read, too. Not for folders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportFormat>,
}
