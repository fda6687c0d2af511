//! A row of `ingest.runs`, and its form for clients.

use database::row::{
    DbError, json, optional_json, optional_parsed, optional_timestamp, parsed, timestamp, unsigned, unsigned_32,
};
use std::collections::BTreeMap;

use schemas::Timestamp;
use schemas::api::run::{RunResult, WorkspaceRun};
use schemas::archive::Archive;
use schemas::artifact::ArtifactRequest;
use schemas::egress::RunNetwork;
use schemas::id::{BatchId, OrgId, ProjectId, RunId};
use schemas::message::{RootFs, TemplateRef};
use schemas::run::RunStatus;
use tokio_postgres::Row;

#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub id: RunId,
    pub org_id: OrgId,
    pub project_id: ProjectId,
    pub status: RunStatus,
    pub command: String,
    pub template: TemplateRef,
    pub artifacts: Vec<ArtifactRequest>,
    pub metadata: BTreeMap<String, String>,
    pub source_metadata: Option<BTreeMap<String, String>>,
    /// Sorted.
    pub env_keys: Vec<String>,
    pub timeout_ms: u64,
    /// `None` for a run without network.
    pub network: Option<RunNetwork>,
    pub batch_id: Option<BatchId>,
    pub traceparent: String,
    pub created_at: Timestamp,
    pub archive: Option<Archive>,
    pub cancel_requested_at: Option<Timestamp>,
    /// Set when the time to upload and start is over; the collector has been told.
    pub expired_at: Option<Timestamp>,
    pub attempt: u32,
    /// The number of the next event to be stored.
    pub next_seq: u64,
    pub result: RunResult,
}

impl Run {
    pub(super) fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: parsed(row, "id")?,
            org_id: parsed(row, "org_id")?,
            project_id: parsed(row, "project_id")?,
            status: parsed(row, "status")?,
            command: row.try_get("command")?,
            template: TemplateRef {
                id: parsed(row, "template_id")?,
                version_id: parsed(row, "template_version_id")?,
                slug: row.try_get("template_slug")?,
                version: row.try_get("template_version")?,
                root_fs: optional_json(row, "template_root_fs")?,
            },
            artifacts: json(row, "artifacts")?,
            metadata: json(row, "metadata")?,
            source_metadata: optional_json(row, "source_metadata")?,
            env_keys: row.try_get("env_keys")?,
            timeout_ms: unsigned(row, "timeout_ms")?,
            network: optional_parsed(row, "network")?,
            batch_id: optional_parsed(row, "batch_id")?,
            traceparent: row.try_get("traceparent")?,
            created_at: timestamp(row, "created_at")?,
            archive: match row.try_get::<_, Option<String>>("archive_sha256")? {
                None => None,
                Some(sha256) => Some(Archive {
                    sha256,
                    size_bytes: unsigned(row, "archive_size")?,
                    uploaded_at: optional_timestamp(row, "uploaded_at")?,
                }),
            },
            cancel_requested_at: optional_timestamp(row, "cancel_requested_at")?,
            expired_at: optional_timestamp(row, "expired_at")?,
            attempt: unsigned_32(row, "attempt")?,
            next_seq: unsigned(row, "next_seq")?,
            result: json(row, "result")?,
        })
    }

    /// Says whether the run can still be changed: it is neither started, nor canceled, nor expired.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.status, RunStatus::AwaitingArchive | RunStatus::ArchiveUploaded)
            && self.cancel_requested_at.is_none()
            && self.expired_at.is_none()
    }

    pub(crate) fn into_api(self) -> WorkspaceRun {
        let mut result = self.result;
        // The collector makes a run terminal only after its evidence is durable.
        if self.status.is_terminal() {
            result.evidence_available = Some(true);
        }
        WorkspaceRun {
            id: self.id,
            org_id: self.org_id,
            project_id: self.project_id,
            status: self.status,
            command: self.command,
            keep_sandbox: false,
            metadata: self.metadata,
            template_id: self.template.id,
            template_slug: self.template.slug,
            template_version: self.template.version,
            template_version_id: self.template.version_id,
            template_digest: self.template.root_fs.as_ref().map(RootFs::digest),
            created_at: self.created_at,
            uploaded_at: self.archive.as_ref().and_then(|archive| archive.uploaded_at),
            archive: self.archive,
            artifacts: (!self.artifacts.is_empty()).then_some(self.artifacts),
            batch_id: self.batch_id,
            env_keys: (!self.env_keys.is_empty()).then_some(self.env_keys),
            network: self.network,
            source_metadata: self.source_metadata,
            timeout_ms: Some(self.timeout_ms),
            result,
        }
    }
}
