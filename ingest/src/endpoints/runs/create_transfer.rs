//! `POST /v1/workspace-runs/{id}/archive-transfer`: where to put a large archive. Asking again for the same archive
//! gives the same upload.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::Response;
use database::{GenericClient, Transaction};
use schemas::Timestamp;
use schemas::api::archive::{DeclaredArchive, Transfer, TransferAnswer, TransferStatus};
use schemas::id::RunId;
use schemas::scope::Scope;

use crate::app::App;
use crate::archive::{CONTENT_TYPE, Declared};
use crate::auth::Caller;
use crate::body;
use crate::db::runs::Run;
use crate::db::uploads;
use crate::db::uploads::{PRESIGNED_FOR, Upload};
use crate::error::ApiError;
use crate::idempotency::{Begun, IdempotencyKey, conclude};
use crate::path_id::PathId;
use crate::public_url::PublicUrl;

const ROUTE: (&str, &str) = ("POST", "/v1/workspace-runs/{id}/archive-transfer");

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    PathId(id): PathId<RunId>,
    public_url: PublicUrl,
    body: Body,
) -> Result<Response, ApiError> {
    caller.require(Scope::WorkspaceRunCreate)?;
    let DeclaredArchive { sha256, size_bytes } = body::shape(&body::read_json(body).await?)?;
    let declared = Declared::new(&sha256, size_bytes, app.config.archive_max_bytes)?;
    let mut client = app.pool.get().await?;
    let transaction = client.transaction().await?;
    let done = create(&transaction, &app, &caller, &key, &public_url, (&id, &declared)).await;
    conclude(transaction, done).await
}

async fn create(
    transaction: &Transaction<'_>,
    app: &App,
    caller: &Caller,
    key: &IdempotencyKey,
    public_url: &PublicUrl,
    request: (&RunId, &Declared),
) -> Result<Response, ApiError> {
    let attempt = match key.begin(transaction, caller, ROUTE, &request).await? {
        Begun::Fresh(attempt) => attempt,
        Begun::Replayed(response) => return Ok(response),
    };
    let (id, declared) = request;
    let run = super::lock(transaction, caller, id).await?;
    let attached = super::has_archive(&run, declared)?;
    let upload = match uploads::find_current(transaction, caller.org(), id, declared).await? {
        Some(upload) => upload,
        None => new_upload(transaction, app, caller, &run, declared, attached).await?,
    };
    let transfer = transfer(app, public_url, upload).await?;
    attempt.finish(transaction, StatusCode::CREATED, &TransferAnswer { transfer }).await
}

async fn new_upload(
    client: &impl GenericClient,
    app: &App,
    caller: &Caller,
    run: &Run,
    declared: &Declared,
    attached: bool,
) -> Result<Upload, ApiError> {
    let status = if attached || super::is_known(client, caller, declared).await? {
        TransferStatus::Finalized
    } else {
        TransferStatus::Pending
    };
    let expires_at = Timestamp::now().plus_millis(app.config.upload_expiry_ms);
    let in_store = app.presigner.is_some() && status == TransferStatus::Pending;
    Ok(uploads::insert(client, caller.org(), &run.id, declared, status, expires_at, in_store).await?)
}

async fn transfer(app: &App, public_url: &PublicUrl, upload: Upload) -> Result<Transfer, ApiError> {
    let mut transfer = Transfer {
        status: upload.status_now(),
        checksum_algorithm: "sha256".to_owned(),
        expires_at: upload.expires_at,
        headers: BTreeMap::from([(header::CONTENT_TYPE.to_string(), CONTENT_TYPE.to_owned())]),
        max_size_bytes: app.config.archive_max_bytes,
        method: "PUT".to_owned(),
        upload_url: public_url.join(&format!("/v1/uploads/{}", upload.id)),
        id: upload.id,
        workspace_run_id: upload.run_id,
    };
    if let (Some(presigner), Some(key)) = (&app.presigner, &upload.staging_key) {
        let now = Timestamp::now();
        let left = Duration::from_millis(upload.expires_at.millis_since(now)).min(PRESIGNED_FOR);
        // The shortest that can be signed.
        let left = left.max(Duration::from_secs(1));
        let put = presigner.put(key, upload.archive.size_bytes, CONTENT_TYPE, left).await?;
        (transfer.upload_url, transfer.headers) = (put.url, put.headers);
        transfer.expires_at = now.plus_millis(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
    }
    Ok(transfer)
}
