//! The functions of ingest that the collector may call: they decide what is new, and make runs terminal.

use std::collections::BTreeMap;
use std::str::FromStr;

use anyhow::ensure;
use database::GenericClient;
use schemas::Timestamp;
use schemas::api::run::{RunResult, WorkspaceRun};
use schemas::archive::Archive;
use schemas::artifact::ArtifactRequest;
use schemas::egress::RunNetwork;
use schemas::id::{BatchId, CommandId, ExecutorId, OrgId, ProjectId, RunId, SandboxId, TemplateId, TemplateVersionId};
use schemas::layout;
use schemas::message::{EventMessage, RootFs};
use schemas::run::RunStatus;
use serde::Deserialize;
use serde_json::Value;

use super::{DbError, execute, json, one, optional_unsigned, parsed, rows, signed, unsigned};

/// The standing of a message: its relation to what is stored of its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    New,
    /// Stored before.
    Known,
    /// From an overtaken attempt, or the run has ended.
    Stale,
    /// The outcome was fixed before; the seal may be missing.
    Ending,
    /// Its events overlap those that are stored: nobody can tell which are right.
    Refused,
}

#[derive(Debug, thiserror::Error)]
#[error("expected new, known, stale, ending or refused, got `{0}`")]
pub(crate) struct UnknownStanding(String);

impl Standing {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Known => "known",
            Self::Stale => "stale",
            Self::Ending => "ending",
            Self::Refused => "refused",
        }
    }

    pub(crate) fn needs_seal(self) -> bool {
        matches!(self, Self::New | Self::Ending)
    }
}

impl FromStr for Standing {
    type Err = UnknownStanding;

    fn from_str(text: &str) -> Result<Self, UnknownStanding> {
        let all = [Self::New, Self::Known, Self::Stale, Self::Ending, Self::Refused];
        all.into_iter().find(|standing| standing.as_str() == text).ok_or_else(|| UnknownStanding(text.to_owned()))
    }
}

/// The answer to one message.
#[derive(Debug)]
pub(crate) struct Step {
    pub standing: Standing,
    /// The message's segment was not stored before.
    pub is_new_segment: bool,
    /// First missing sequence number, if events are missing before the message.
    pub gap_from: Option<u64>,
    pub next_seq: u64,
}

pub(crate) async fn advance(client: &impl GenericClient, messages: &[&EventMessage]) -> anyhow::Result<Vec<Step>> {
    let runs: Vec<&str> = messages.iter().map(|message| message.run_id.as_str()).collect();
    let attempts = messages.iter().map(|message| i32::try_from(message.attempt)).collect::<Result<Vec<_>, _>>()?;
    let segments = || messages.iter().map(|message| message.segment.as_ref());
    let first: Vec<_> = segments().map(|segment| segment.map(|s| signed(s.first_seq))).collect();
    let last: Vec<_> = segments().map(|segment| segment.map(|s| signed(s.last_seq))).collect();
    let statuses: Vec<_> = segments().map(|segment| segment.and_then(|s| s.status).map(RunStatus::as_str)).collect();
    let ends: Vec<bool> = messages.iter().map(|message| message.end.is_some()).collect();
    let sql = "select verdict, fresh, gap_from, next_seq from ingest.advance_runs($1, $2, $3, $4, $5, $6)";
    let answers = rows(client, sql, &[&runs, &attempts, &first, &last, &statuses, &ends]).await?;
    ensure!(answers.len() == messages.len(), "{} answers for {} messages", answers.len(), messages.len());
    answers
        .iter()
        .map(|row| {
            Ok(Step {
                standing: parsed(row, "verdict")?,
                is_new_segment: row.try_get::<_, Option<bool>>("fresh").map_err(DbError::from)?.unwrap_or(false),
                gap_from: optional_unsigned(row, "gap_from")?,
                next_seq: unsigned(row, "next_seq")?,
            })
        })
        .collect()
}

/// Takes the run from whatever holds it: from this attempt or an earlier one, or from any. `None` if its outcome is fixed
/// already, if a later attempt has it, or if it does not exist.
pub(crate) async fn fence(
    client: &impl GenericClient,
    run: &RunId,
    attempt: Option<u32>,
) -> anyhow::Result<Option<u32>> {
    // An attempt that no run can have had is later than all.
    let attempt = attempt.map(|attempt| i32::try_from(attempt).unwrap_or(i32::MAX));
    let row = one(client, "select ingest.fence_run($1, $2)", &[&run.as_str(), &attempt]).await?;
    let token: Option<i32> = row.try_get(0)?;
    Ok(token.map(u32::try_from).transpose()?)
}

/// A row of `ingest.runs`, as far as the seal needs it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RunRow {
    pub id: RunId,
    pub org_id: OrgId,
    pub project_id: ProjectId,
    pub command: String,
    pub template_id: TemplateId,
    pub template_slug: String,
    pub template_version: String,
    pub template_version_id: TemplateVersionId,
    #[serde(default)]
    pub template_root_fs: Option<RootFs>,
    pub artifacts: Vec<ArtifactRequest>,
    pub batch_id: Option<BatchId>,
    pub metadata: BTreeMap<String, String>,
    pub source_metadata: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub env_keys: Vec<String>,
    pub timeout_ms: u64,
    /// `None` if the run has no network.
    pub network: Option<RunNetwork>,
    pub traceparent: String,
    pub created_at: Timestamp,
    pub archive_sha256: Option<String>,
    pub archive_size: Option<u64>,
    pub uploaded_at: Option<Timestamp>,
    pub queued_at: Option<Timestamp>,
}

/// A row of `ingest.attempts`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct AttemptRow {
    pub attempt: u32,
    pub executor_id: ExecutorId,
    pub sandbox_id: SandboxId,
    pub command_id: CommandId,
    pub claimed_at: Timestamp,
    pub lost_at: Option<Timestamp>,
}

pub(crate) async fn to_seal(
    client: &impl GenericClient,
    runs: &[RunId],
) -> Result<Vec<(RunRow, Vec<AttemptRow>)>, DbError> {
    let ids: Vec<&str> = runs.iter().map(RunId::as_str).collect();
    let found = rows(client, "select run, attempts from ingest.runs_to_seal($1)", &[&ids]).await?;
    found.iter().map(|row| Ok((json(row, "run")?, json(row, "attempts")?))).collect()
}

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct EndedRun<'a> {
    pub run: &'a RunId,
    pub status: RunStatus,
    pub result: &'a RunResult,
    pub next_seq: u64,
}

/// Makes the runs terminal; runs that are terminal stay as they are.
pub(crate) async fn end(client: &impl GenericClient, ended: &[EndedRun<'_>]) -> anyhow::Result<()> {
    let ids: Vec<&str> = ended.iter().map(|run| run.run.as_str()).collect();
    let statuses: Vec<&str> = ended.iter().map(|run| run.status.as_str()).collect();
    let results = ended.iter().map(|run| serde_json::to_value(run.result)).collect::<Result<Vec<Value>, _>>()?;
    let next: Vec<i64> = ended.iter().map(|run| signed(run.next_seq)).collect();
    execute(client, "select ingest.end_runs($1, $2, $3, $4)", &[&ids, &statuses, &results, &next]).await?;
    Ok(())
}

impl RunRow {
    /// The run as the API shows it when it has ended.
    pub(crate) fn to_workspace_run(&self, status: RunStatus, result: RunResult) -> WorkspaceRun {
        WorkspaceRun {
            id: self.id.clone(),
            org_id: self.org_id.clone(),
            project_id: self.project_id.clone(),
            status,
            command: self.command.clone(),
            keep_sandbox: false,
            metadata: self.metadata.clone(),
            template_id: self.template_id.clone(),
            template_slug: self.template_slug.clone(),
            template_version: self.template_version.clone(),
            template_version_id: self.template_version_id.clone(),
            template_digest: self.template_root_fs.as_ref().map(RootFs::digest),
            created_at: self.created_at,
            archive: self.archive(),
            artifacts: (!self.artifacts.is_empty()).then(|| self.artifacts.clone()),
            batch_id: self.batch_id.clone(),
            env_keys: (!self.env_keys.is_empty()).then(|| self.env_keys.clone()),
            network: self.network,
            source_metadata: self.source_metadata.clone(),
            timeout_ms: Some(self.timeout_ms),
            uploaded_at: self.uploaded_at,
            result,
        }
    }

    pub(crate) fn archive(&self) -> Option<Archive> {
        Some(Archive {
            sha256: self.archive_sha256.clone()?,
            size_bytes: self.archive_size?,
            uploaded_at: self.uploaded_at,
        })
    }

    /// The folder of the run's objects in the store.
    pub(crate) fn prefix(&self) -> String {
        layout::run_folder(&self.org_id, &self.project_id, &self.created_at.date(), &self.id)
    }
}
