//! Evidence Bundle v1: everything that is durably known about an ended run. Specified in `docs/reference/formats.md`. A
//! bundle is written once, as canonical JSON (RFC 8785), and must be readable forever.

mod document;
pub mod event_log;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::archive::Archive;
use crate::artifact::ArtifactError;
use crate::egress::EgressReport;
use crate::id::{ArtifactId, CommandId, ExecutorId, OrgId, ProjectId, RunId, SandboxId, TemplateId, TemplateVersionId};
use crate::message::{AttemptEnd, Limits, Resources};
use crate::run::{CleanupStatus, FailureClass, FailureReason, Outcome, OutcomeSource, RunStatus};
use crate::test_report::TestSummary;

pub use document::{Document, DocumentError};

pub const SCHEMA_VERSION: &str = "1.1";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceBundle {
    /// `major.minor`; a reader of the same major version understands it.
    pub schema_version: String,
    pub workspace_run_id: RunId,
    pub org_id: OrgId,
    pub project_id: ProjectId,
    pub status: RunStatus,
    pub outcome: Outcome,
    pub outcome_source: OutcomeSource,
    /// Explanation of the outcome, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome_message: Option<String>,
    pub command: String,
    pub created_at: Timestamp,
    pub metadata: BTreeMap<String, String>,
    pub env_keys: Vec<String>,
    pub artifact_ids: Vec<ArtifactId>,
    pub artifact_errors: Vec<ArtifactError>,
    pub cleanup_status: CleanupStatus,
    pub orchestration_succeeded: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Archive>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<CommandId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_class: Option<FailureClass>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<FailureReason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_id: Option<SandboxId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_metadata: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// All attempts in order, lost ones too.
    pub attempts: Vec<Attempt>,
    pub timing: Timing,
    pub resources: ResourceReport,
    pub template: Template,
    pub artifacts: Vec<EvidenceArtifact>,
    pub event_log: EventLog,
    pub completeness: Completeness,
    pub usage: Usage,
    /// Destinations that the last attempt was allowed to reach, and those that it tried to reach; absent for a run
    /// without network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<EgressReport>,
    /// Results of the test reports among the artifacts; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<TestSummary>,
}

/// One claim of the run by an executor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Number of the attempt, from 1.
    pub attempt: u32,
    pub executor_id: ExecutorId,
    pub sandbox_id: SandboxId,
    pub command_id: CommandId,
    pub claimed_at: Timestamp,
    /// End of the attempt; for a lost one, the time at which the loss was noticed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    pub ended: AttemptEnd,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oom_killed: Option<bool>,
}

/// Time at which the last attempt reached each phase; absent for a phase that it did not reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timing {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extracted_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collected_at: Option<Timestamp>,
    /// Time at which the collector fixed the outcome; the bundle is written right after.
    pub sealed_at: Timestamp,
}

/// Counters of the kernel for the last attempt, and the limits in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceReport {
    #[serde(flatten)]
    pub used: Resources,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Template {
    pub id: TemplateId,
    pub slug: String,
    pub version: String,
    pub version_id: TemplateVersionId,
    /// Digest of the root file system: `sha256:` and 64 hexadecimal digits, of its uncompressed tar. Absent where the
    /// executor's host presents its own `/usr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceArtifact {
    pub id: ArtifactId,
    pub path: String,
    pub name: String,
    pub size_bytes: u64,
    pub sha256: String,
    pub content_type: String,
    pub object_key: String,
}

/// The stored event log, including the terminal event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventLog {
    pub first_seq: u64,
    pub last_seq: u64,
    pub count: u64,
    pub parts: Vec<EventLogPart>,
    /// RFC 6962 tree hash over the frames of all parts in order, as stored; lower-case hexadecimal.
    pub merkle_root: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventLogPart {
    pub object_key: String,
    pub size_bytes: u64,
    pub sha256: String,
    pub first_seq: u64,
    pub last_seq: u64,
    /// Offset of the part's index, in bytes.
    pub index_offset: u64,
}

/// Completeness of the event log: gaps, lost attempts and dropped output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Completeness {
    pub complete: bool,
    /// Sequence numbers that never arrived.
    pub gaps: Vec<SeqRange>,
    /// Attempts whose executor was lost; events that it had not yet sent are unknown.
    pub lost_attempts: Vec<u32>,
    /// Bytes of output that were read but not stored.
    pub bytes_dropped: u64,
    pub truncated_streams: Vec<String>,
    /// Number of secrets replaced in the output of the attempt that reported the ending.
    pub redactions: u64,
    /// Equal to `stdout.bytesTotal`.
    pub stdout_bytes: u64,
    /// Equal to `stderr.bytesTotal`.
    pub stderr_bytes: u64,
    pub stdout: StreamReport,
    pub stderr: StreamReport,
}

/// One output stream of the last attempt: bytes that are stored, and bytes that are not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamReport {
    /// Bytes that were read from the command.
    pub bytes_total: u64,
    pub bytes_stored: u64,
    /// Bytes that the output cap left out; the event log says where.
    pub bytes_dropped: u64,
    /// True if not everything is stored: the cap was reached, or the stream could not be read to its end.
    pub truncated: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeqRange {
    pub first_seq: u64,
    pub last_seq: u64,
}

/// Metered usage of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Thousandths of a compute unit second.
    pub compute_unit_millis: u64,
    pub artifact_bytes_stored: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EvidenceAnswer {
    pub evidence: EvidenceBundle,
}
