//! `/v1/workspace-runs`, and the staged uploads of their archives.

pub(crate) mod attestations;
pub(crate) mod cancel;
pub(crate) mod create;
pub(crate) mod create_transfer;
pub(crate) mod event_log_part;
pub(crate) mod events;
pub(crate) mod evidence;
pub(crate) mod finalize_archive;
pub(crate) mod get;
pub(crate) mod inclusion;
pub(crate) mod list;
pub(crate) mod start;
pub(crate) mod upload_archive;
pub(crate) mod upload_staged;

use database::GenericClient;
use schemas::api::archive::ArchiveAnswer;
use schemas::archive::Archive;
use schemas::id::RunId;

use crate::archive::Declared;
use crate::auth::Caller;
use crate::db::runs::{self, Run};
use crate::db::{archives, collector};
use crate::error::{ApiError, Code};

const NOT_SEALED: &str = "The evidence of this run does not exist yet: it is sealed and signed when the run is over.";

/// The run, if the caller may see it.
async fn find(client: &impl GenericClient, caller: &Caller, id: &RunId) -> Result<Run, ApiError> {
    visible(caller, runs::find(client, caller.org(), id).await?)
}

/// Key of the Evidence Bundle of a run that the caller may see; its folder has everything else that was sealed.
async fn sealed_key(client: &impl GenericClient, caller: &Caller, id: &RunId) -> Result<String, ApiError> {
    find(client, caller, id).await?;
    let key = collector::evidence_key(client, id).await?;
    key.ok_or_else(|| ApiError::new(Code::NotFound, NOT_SEALED))
}

/// The same, and nobody else changes it until the transaction ends.
async fn lock(client: &impl GenericClient, caller: &Caller, id: &RunId) -> Result<Run, ApiError> {
    visible(caller, runs::lock(client, caller.org(), id).await?)
}

fn visible(caller: &Caller, run: Option<Run>) -> Result<Run, ApiError> {
    let run = run.filter(|run| caller.may_see(&run.project_id)).ok_or_else(|| ApiError::not_found("workspace run"))?;
    let span = tracing::Span::current();
    span.record("run_id", run.id.as_str());
    span.record("trace_id", infra::traceparent::trace_id(&run.traceparent));
    Ok(run)
}

/// Whether the organization has these bytes already, so that nobody needs to send them again. A limited key must prove
/// that it has them: they may be another project's.
async fn is_known(client: &impl GenericClient, caller: &Caller, archive: &Declared) -> Result<bool, ApiError> {
    Ok(caller.only_projects().is_none() && archives::exists(client, caller.org(), archive).await?)
}

/// Whether the run has exactly this archive already; another one, or a run that takes none any more, is a conflict.
fn has_archive(run: &Run, archive: &Declared) -> Result<bool, ApiError> {
    match &run.archive {
        Some(attached) if is_same(attached, archive) => Ok(true),
        Some(attached) => {
            let message = format!("This run has another archive already, with SHA-256 {}.", attached.sha256);
            Err(ApiError::new(Code::UploadConflict, message))
        }
        None if run.is_open() => Ok(false),
        None => {
            let message = "This run takes no archive any more: it is over or about to be. Create a new run.";
            Err(ApiError::new(Code::UploadConflict, message))
        }
    }
}

fn is_same(attached: &Archive, archive: &Declared) -> bool {
    attached.sha256 == archive.sha256 && attached.size_bytes == archive.size_bytes
}

fn archive_answer(run: Run) -> Result<ArchiveAnswer, ApiError> {
    let archive = run.archive.clone();
    let archive = archive.ok_or_else(|| ApiError::internal(anyhow::anyhow!("the archive of {} is missing", run.id)))?;
    Ok(ArchiveAnswer { archive, workspace_run: run.into_api() })
}

/// Attaches a verified archive within the transaction that has locked the run.
async fn attach(client: &impl GenericClient, run: Run, archive: &Declared) -> Result<Run, ApiError> {
    if has_archive(&run, archive)? {
        return Ok(run);
    }
    let attached = runs::attach_archive(client, &run.org_id, &run.id, archive).await?;
    attached.ok_or_else(|| ApiError::internal(anyhow::anyhow!("run {} changed while it was locked", run.id)))
}
