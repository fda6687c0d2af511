//! Workspace runs: what a client asks for, and what it sees.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::archive::{Archive, DeclaredArchive};
use crate::Timestamp;
use crate::event::ArtifactError;
use crate::id::{ArtifactId, CommandId, OrgId, ProjectId, RunId, SandboxId, TemplateId, TemplateVersionId};
pub use crate::message::ArtifactRequest;
use crate::run::{CleanupStatus, FailureClass, FailureReason, RunStatus};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateRun {
    /// Run by `/bin/sh -c` in `/workspace`, after the archive was extracted there.
    pub command: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_version_id: Option<TemplateVersionId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<Vec<ArtifactRequest>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_metadata: Option<BTreeMap<String, String>>,
    /// Wall-clock limit of the command in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_sandbox: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_id: Option<SandboxId>,
    /// The archive, by its digest. If the organization has it already the run needs no upload and is
    /// `archive_uploaded`; otherwise it waits for it as usual, and is `awaiting_archive`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<DeclaredArchive>,
    /// With `archive`: starts the run at once if nothing needs to be uploaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceRun {
    pub id: RunId,
    pub org_id: OrgId,
    pub project_id: ProjectId,
    pub status: RunStatus,
    pub command: String,
    pub keep_sandbox: bool,
    pub metadata: BTreeMap<String, String>,
    pub template_id: TemplateId,
    pub template_slug: String,
    pub template_version: String,
    pub template_version_id: TemplateVersionId,
    pub created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Archive>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_keys: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_metadata: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uploaded_at: Option<Timestamp>,
    #[serde(flatten)]
    pub result: RunResult,
}

/// What is known once a run is over (and, for the start, while it runs). Empty before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunResult {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_errors: Option<Vec<ArtifactError>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_ids: Option<Vec<ArtifactId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleanup_status: Option<CleanupStatus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<CommandId>,
    /// From the start of the command to its end, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence_available: Option<bool>,
    /// Exists only if `wait()` returned it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_class: Option<FailureClass>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<FailureReason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orchestration_succeeded: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_id: Option<SandboxId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunAnswer {
    pub workspace_run: WorkspaceRun,
}
