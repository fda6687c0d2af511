//! `POST /v1/workspace-runs/{id}/archive/finalize`: the staged bytes are complete, the run gets them. What the client
//! put into the store beside us is verified first, while it is copied to where only we write.

use axum::response::Response;
use database::GenericClient;
use schemas::api::archive::{ArchiveAnswer, FinalizeArchive, TransferStatus};
use schemas::id::RunId;
use schemas::scope::Scope;
use serde::Deserialize;

use super::{upload_expired, upload_not_found};
use crate::archive::{Declared, Receiver, Storing};
use crate::db::runs::Run;
use crate::db::{archives, uploads};
use crate::endpoints::runs;
use crate::http::body::from_store;
use crate::http::error::{ApiError, Code};
use crate::http::path_id::PathId;
use crate::operation::parameters::RUN_ID;
use crate::operation::{Call, Change, Keyed, Operation, examples, json};

pub(crate) const OPERATION: Keyed = Operation::post(
    "/v1/workspace-runs/{id}/archive/finalize",
    "finalizeArchive",
    "Give the run its archive, once its bytes are complete",
)
.scope(Scope::WorkspaceRunCreate)
.takes(&[RUN_ID])
.body(json::<FinalizeArchive>(examples::finalize_archive))
.answers(200, json::<ArchiveAnswer>(examples::archive_answer))
.errors(&[
    Code::UploadConflict,
    Code::UploadNotFound,
    Code::UploadExpired,
    Code::UploadIncomplete,
    Code::UploadChecksumMismatch,
    Code::UploadSizeMismatch,
])
.keyed();

/// `schemas::api::archive::FinalizeArchive`, but a malformed upload id is one that does not exist.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    sha256: String,
    size_bytes: u64,
    upload_id: String,
}

pub(crate) async fn handle(mut change: Change, PathId(id): PathId<RunId>) -> Result<Response, ApiError> {
    let Request { sha256, size_bytes, upload_id } = change.shape().await?;
    let declared = Declared::new(&sha256, size_bytes, change.app.config.archive_max_bytes)?;
    verify_staged(&change, &id, &declared, &upload_id).await?;
    change
        .once(&(&id, &declared, &upload_id), async |transaction| {
            let run = runs::lock(transaction, &change.caller, &id).await?;
            super::archive_answer(finalize(transaction, run, &declared, &upload_id).await?)
        })
        .await
}

/// Verifies a staged archive. Does nothing where there is none: `finalize` then says what is wrong.
async fn verify_staged(call: &Call, run: &RunId, declared: &Declared, upload: &str) -> Result<(), ApiError> {
    let (app, caller) = (&call.app, &call.caller);
    let Ok(upload) = upload.parse() else { return Ok(()) };
    let client = app.pool.get().await?;
    runs::find(&client, caller, run).await?;
    let Some(upload) = uploads::find(&client, caller.org(), &upload).await? else { return Ok(()) };
    let Some(key) = upload.staging_key.clone() else { return Ok(()) };
    let waits = upload.status_now() == TransferStatus::Pending && upload.run_id == *run && upload.archive == *declared;
    let Some(size) = (if waits { app.store.size(&key).await? } else { None }) else { return Ok(()) };
    let stored = archives::exists(&client, caller.org(), declared).await?;
    // The copy may take long.
    drop(client);
    let copied = copy(call, &key, size, declared, if stored { Storing::VerifyOnly } else { Storing::Store });
    let copied = copied.await;
    if copied.is_ok() {
        let mut client = app.pool.get().await?;
        let transaction = client.transaction().await?;
        archives::insert(&transaction, caller.org(), declared).await?;
        uploads::set_status(&transaction, caller.org(), &upload.id, TransferStatus::Uploaded).await?;
        transaction.commit().await?;
    }
    // The staged object is of no more use, unless the failure is ours. The sweep removes what cannot be removed now.
    let is_over = match &copied {
        Ok(()) => true,
        // What may be tried again needs the staged object.
        Err(error) => !matches!(error, ApiError::Internal(_) | ApiError::Refused { retry_after_s: Some(_), .. }),
    };
    if is_over && let Err(error) = app.store.delete(&key).await {
        tracing::warn!(%error, "cannot remove a staged archive; the sweep retries");
    }
    copied
}

async fn copy(call: &Call, key: &str, size: u64, declared: &Declared, storing: Storing) -> Result<(), ApiError> {
    if size != declared.size_bytes {
        return Err(declared.size_mismatch(size));
    }
    let (app, caller) = (&call.app, &call.caller);
    let receiver = Receiver::new(app, caller).await?;
    let body = from_store(app.store.get_stream(key, None).await?);
    let received = receiver.receive(body, declared, storing).await;
    received.map_err(|error| match error {
        // Not a client but the store sent these bytes.
        ApiError::Refused { code: Code::InvalidRequest, message, .. } => {
            ApiError::internal(anyhow::anyhow!("the store broke off: {message}"))
        }
        error => error,
    })
}

async fn finalize(client: &impl GenericClient, run: Run, declared: &Declared, upload: &str) -> Result<Run, ApiError> {
    let upload = upload.parse().map_err(|_| upload_not_found())?;
    let found = uploads::find(client, &run.org_id, &upload).await?;
    let upload = found.filter(|upload| upload.run_id == run.id).ok_or_else(upload_not_found)?;
    upload.archive.check_same(declared)?;
    match upload.status_now() {
        TransferStatus::Expired => return Err(upload_expired()),
        TransferStatus::Pending => {
            let message = "The archive has not arrived completely: PUT its bytes to the transfer's uploadUrl first.";
            return Err(ApiError::new(Code::UploadIncomplete, message));
        }
        TransferStatus::Uploaded | TransferStatus::Finalized => {}
    }
    let run = super::attach(client, run, declared).await?;
    uploads::set_status(client, &run.org_id, &upload.id, TransferStatus::Finalized).await?;
    Ok(run)
}
