//! `POST /v1/workspace-runs/{id}/archive/finalize`: the staged bytes are complete, the run gets them. What the client
//! put into the store beside us is verified first, while it is copied to where only we write.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use database::{GenericClient, Transaction};
use schemas::api::archive::TransferStatus;
use schemas::id::RunId;
use schemas::scope::Scope;
use serde::Deserialize;

use super::upload_staged::{upload_expired, upload_not_found};
use crate::app::App;
use crate::archive::{Declared, Receiver, Storing};
use crate::auth::Caller;
use crate::body::{self, from_store};
use crate::db::runs::Run;
use crate::db::{archives, uploads};
use crate::error::{ApiError, Code};
use crate::idempotency::{Begun, IdempotencyKey, conclude};
use crate::path_id::PathId;

const ROUTE: (&str, &str) = ("POST", "/v1/workspace-runs/{id}/archive/finalize");

/// `schemas::api::archive::FinalizeArchive`, but a malformed upload id is one that does not exist.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    sha256: String,
    size_bytes: u64,
    upload_id: String,
}

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    PathId(id): PathId<RunId>,
    body: Body,
) -> Result<Response, ApiError> {
    caller.require(Scope::WorkspaceRunCreate)?;
    let Request { sha256, size_bytes, upload_id } = body::shape(&body::read_json(body).await?)?;
    let declared = Declared::new(&sha256, size_bytes, app.config.archive_max_bytes)?;
    verify_staged(&app, &caller, (&id, &declared, &upload_id)).await?;
    let mut client = app.pool.get().await?;
    let transaction = client.transaction().await?;
    let done = answer(&transaction, &caller, &key, (&id, &declared, &upload_id)).await;
    conclude(transaction, done).await
}

/// Without effect where there is nothing to verify: what is wrong then is said by `finalize`.
async fn verify_staged(app: &App, caller: &Caller, request: (&RunId, &Declared, &str)) -> Result<(), ApiError> {
    let (run, declared, upload) = request;
    let Ok(upload) = upload.parse() else { return Ok(()) };
    let client = app.pool.get().await?;
    super::find(&client, caller, run).await?;
    let Some(upload) = uploads::find(&client, caller.org(), &upload).await? else { return Ok(()) };
    let Some(key) = upload.staging_key.clone() else { return Ok(()) };
    let waits = upload.status_now() == TransferStatus::Pending && upload.run_id == *run && upload.archive == *declared;
    let Some(size) = (if waits { app.store.size(&key).await? } else { None }) else { return Ok(()) };
    let stored = archives::exists(&client, caller.org(), declared).await?;
    // The copy may take long.
    drop(client);
    let copied = copy(app, caller, &key, size, declared, if stored { Storing::VerifyOnly } else { Storing::Store });
    let copied = copied.await;
    if copied.is_ok() {
        let mut client = app.pool.get().await?;
        let transaction = client.transaction().await?;
        archives::insert(&transaction, caller.org(), declared).await?;
        uploads::set_status(&transaction, caller.org(), &upload.id, TransferStatus::Uploaded).await?;
        transaction.commit().await?;
    }
    // It is of no more use, unless the failure is ours. What cannot be removed now is removed by the sweep.
    if !matches!(copied, Err(ApiError::Internal(_)))
        && let Err(error) = app.store.delete(&key).await
    {
        tracing::warn!(%error, "a staged archive could not be removed yet");
    }
    copied
}

async fn copy(
    app: &App,
    caller: &Caller,
    key: &str,
    size: u64,
    declared: &Declared,
    storing: Storing,
) -> Result<(), ApiError> {
    if size != declared.size_bytes {
        return Err(declared.size_mismatch(size));
    }
    let body = from_store(app.store.get_stream(key, None).await?);
    let idle = Duration::from_millis(app.config.body_idle_timeout_ms);
    let received = Receiver { store: &app.store, org: caller.org(), idle }.receive(body, declared, storing).await;
    received.map_err(|error| match error {
        // It was no client that sent these bytes.
        ApiError::Refused { code: Code::InvalidRequest, message, .. } => {
            ApiError::internal(anyhow::anyhow!("the store broke off: {message}"))
        }
        error => error,
    })
}

async fn answer(
    transaction: &Transaction<'_>,
    caller: &Caller,
    key: &IdempotencyKey,
    request: (&RunId, &Declared, &str),
) -> Result<Response, ApiError> {
    let attempt = match key.begin(transaction, caller, ROUTE, &request).await? {
        Begun::Fresh(attempt) => attempt,
        Begun::Replayed(response) => return Ok(response),
    };
    let (id, declared, upload_id) = request;
    let run = super::lock(transaction, caller, id).await?;
    let run = finalize(transaction, run, declared, upload_id).await?;
    attempt.finish(transaction, StatusCode::OK, &super::archive_answer(run)?).await
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
