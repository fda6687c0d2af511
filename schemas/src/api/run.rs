//! Workspace runs, as clients request them and see them.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::archive::DeclaredArchive;
use crate::archive::Archive;
use crate::artifact::ArtifactError;
use crate::artifact::ArtifactRequest;
use crate::egress::RunNetwork;
use crate::env::{self, EnvValues};
use crate::id::{ArtifactId, BatchId, CommandId, OrgId, ProjectId, RunId, SandboxId, TemplateId, TemplateVersionId};
use crate::run::{CleanupStatus, FailureClass, FailureReason, RunStatus};
use crate::test_report::TestCounts;
use crate::{Timestamp, limits};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = start_needs_archive)]
pub struct CreateRun {
    /// Shell command, run by `/bin/sh -c` in `/workspace`, where the archive is extracted. At most 65,536 bytes,
    /// without NUL.
    #[schemars(length(min = 1, max = limits::COMMAND_BYTES), regex(pattern = r"^[^\u0000]*[^\u0000\s][^\u0000]*$"))]
    pub command: String,
    /// Slug of a template (`GET /v1/templates`); `python-node` if neither `template` nor `templateVersionId` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_version_id: Option<TemplateVersionId>,
    /// Defaults to the key's only project, or else to the organization's default project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// Files to keep when the command has ended. Also needs the scopes `artifact:create` and `file:read`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::ARTIFACTS))]
    pub artifacts: Option<Vec<ArtifactRequest>>,
    /// Free-form texts that help to find the run. At most 16 KiB in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = metadata_limits)]
    pub metadata: Option<BTreeMap<String, String>>,
    /// Origin of the archive, such as repository and commit; kept in the evidence. At most 16 KiB in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = metadata_limits)]
    pub source_metadata: Option<BTreeMap<String, String>>,
    /// Environment variables of the command, secrets included. Values are encrypted at rest, never shown again and
    /// replaced in the output; `envKeys` has the names. A value has at most 32,768 bytes and no NUL; names and values
    /// together have at most 65,536 bytes. Refused with `unsupported_runtime_option` where the operator has set no
    /// encryption key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeMap<String, String>>", transform = env_limits)]
    pub env: Option<EnvValues>,
    /// Wall-clock limit of the command in milliseconds. The operator may have set a lower maximum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = limits::TIMEOUT_MS))]
    pub timeout_ms: Option<u64>,
    /// `egress` lets the command reach what the operator allows the project, through the HTTP proxy that `HTTPS_PROXY`
    /// and similar variables name in the sandbox; `forbidden` if the operator allows nothing. Without `network`, the
    /// run has no network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<RunNetwork>,
    /// Only `false`: keeping the sandbox is not supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = [false, null]))]
    pub keep_sandbox: Option<bool>,
    /// Not supported yet: every run gets a fresh sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "()")]
    pub sandbox_id: Option<SandboxId>,
    /// Your own label for runs that belong together; list them by it. Any label will do: none has to be created first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<BatchId>,
    /// The archive, by its digest. If the organization already has this archive, the run needs no upload and is
    /// `archive_uploaded`; otherwise the run is `awaiting_archive` until the upload.
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
    /// Digest of the template's root file system: `sha256:` and 64 hexadecimal digits, of its uncompressed tar. Absent
    /// where the executor's host presents its own `/usr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_digest: Option<String>,
    pub created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Archive>,
    /// Requested files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<Vec<ArtifactRequest>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<BatchId>,
    /// Sorted names of the command's environment variables; their values are not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_keys: Option<Vec<String>>,
    /// Network access of the run; absent for a run without network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<RunNetwork>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_metadata: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uploaded_at: Option<Timestamp>,
    #[serde(flatten)]
    pub result: RunResult,
}

/// Result of a run. Members about the start appear while the run is under way, all others when it is over.
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
    /// Duration of the command, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence_available: Option<bool>,
    /// Exit code of the command; present only if `wait()` returned one.
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
    /// Totals of the test reports among the artifacts; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<TestCounts>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunAnswer {
    pub workspace_run: WorkspaceRun,
}

/// Requires `archive` where `start` is true.
fn start_needs_archive(schema: &mut Schema) {
    schema.insert("if".into(), json!({ "properties": { "start": { "const": true } }, "required": ["start"] }));
    schema.insert("then".into(), json!({ "properties": { "archive": { "type": "object" } }, "required": ["archive"] }));
}

/// Limits of `metadata` and `sourceMetadata`.
fn metadata_limits(schema: &mut Schema) {
    schema.insert("maxProperties".into(), limits::METADATA_KEYS.into());
    let pattern = format!("^[A-Za-z0-9_.-]{{1,{}}}$", limits::METADATA_KEY_CHARS);
    schema.insert("propertyNames".into(), json!({ "pattern": pattern }));
    let value = json!({ "type": "string", "maxLength": limits::METADATA_VALUE_CHARS, "pattern": "^[^\\u0000]*$" });
    schema.insert("additionalProperties".into(), value);
}

fn env_limits(schema: &mut Schema) {
    schema.insert("maxProperties".into(), limits::ENV_VARIABLES.into());
    let name = format!("^[A-Za-z_][A-Za-z0-9_]{{0,{}}}$", limits::ENV_NAME_CHARS - 1);
    let reserved = format!("^(CROWNEST(_.*)?|{})$", env::RESERVED.join("|"));
    schema.insert("propertyNames".into(), json!({ "pattern": name, "not": { "pattern": reserved } }));
    let value = json!({ "type": "string", "maxLength": limits::ENV_VALUE_BYTES, "pattern": "^[^\\u0000]*$" });
    schema.insert("additionalProperties".into(), value);
}
