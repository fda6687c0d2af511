//! `POST /v1/workspace-runs/{id}/archive/finalize`: the staged bytes are complete, the run gets them.

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use infra::postgres::{GenericClient, Transaction};
use schemas::api::archive::TransferStatus;
use schemas::id::RunId;
use schemas::scope::Scope;
use serde::Deserialize;

use super::upload_staged::{upload_expired, upload_not_found};
use crate::app::App;
use crate::archive::Declared;
use crate::auth::Caller;
use crate::body;
use crate::db::runs::Run;
use crate::db::uploads;
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
    let mut client = app.pool.get().await?;
    let transaction = client.transaction().await?;
    let done = answer(&transaction, &caller, &key, (&id, &declared, &upload_id)).await;
    conclude(transaction, done).await
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
