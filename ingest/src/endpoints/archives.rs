//! The archives of runs on their three ways in: small ones in one request, large ones staged, known ones not at all.

pub(super) mod create_transfer;
pub(super) mod finalize_archive;
pub(super) mod upload_archive;
pub(super) mod upload_staged;

use database::GenericClient;
use schemas::api::archive::ArchiveAnswer;
use schemas::archive::Archive;

use crate::archive::Declared;
use crate::auth::Caller;
use crate::db::archives;
use crate::db::runs::{self, Run};
use crate::http::error::{ApiError, Code};

/// Says whether the organization has these bytes already, so that nobody needs to send them again. A limited key must prove
/// that it has them: they may be another project's.
pub(super) async fn is_known(
    client: &impl GenericClient,
    caller: &Caller,
    archive: &Declared,
) -> Result<bool, ApiError> {
    Ok(caller.only_projects().is_none() && archives::exists(client, caller.org(), archive).await?)
}

/// Says whether the run has exactly this archive already. Another archive, or a run that takes no archive any more, is a
/// conflict.
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

fn upload_not_found() -> ApiError {
    ApiError::new(Code::UploadNotFound, "This upload does not exist, or does not belong to this run.")
}

fn upload_expired() -> ApiError {
    ApiError::new(Code::UploadExpired, "This upload has expired: ask for a new archive transfer.")
}
