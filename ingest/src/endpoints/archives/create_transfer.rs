//! `POST /v1/workspace-runs/{id}/archive-transfer`: the transfer of a large archive. Asking again for the same archive gives
//! the same transfer.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::header;
use axum::response::Response;
use database::{GenericClient, Transaction};
use schemas::Timestamp;
use schemas::api::archive::{DeclaredArchive, Transfer, TransferAnswer, TransferStatus};
use schemas::id::RunId;
use schemas::limits::OPEN_TRANSFERS;
use schemas::scope::Scope;

use crate::app::App;
use crate::archive::{CONTENT_TYPE, Declared};
use crate::auth::Caller;
use crate::db::organizations;
use crate::db::runs::Run;
use crate::db::uploads::{self, PRESIGNED_FOR, Upload};
use crate::endpoints::runs;
use crate::http::error::{ApiError, Code};
use crate::http::path_id::PathId;
use crate::http::public_url::PublicUrl;
use crate::operation::parameters::RUN_ID;
use crate::operation::{Call, Change, Keyed, Operation, examples, json};

pub(crate) const OPERATION: Keyed = Operation::post(
    "/v1/workspace-runs/{id}/archive-transfer",
    "createArchiveTransfer",
    "Ask where to send a large archive; the same archive gets the same transfer again",
)
.scope(Scope::WorkspaceRunCreate)
.takes(&[RUN_ID])
.body(json::<DeclaredArchive>(examples::declared_archive))
.answers(201, json::<TransferAnswer>(examples::transfer_answer))
.errors(&[Code::UploadConflict, Code::QuotaExceeded])
.keyed();

/// Time after which a client that has too many open transfers should ask again.
const OPEN_RETRY_AFTER_S: u64 = 60;

pub(crate) async fn handle(
    mut change: Change,
    (PathId(id), public_url): (PathId<RunId>, PublicUrl),
) -> Result<Response, ApiError> {
    let DeclaredArchive { sha256, size_bytes } = change.shape().await?;
    let declared = Declared::new(&sha256, size_bytes, change.app.config.archive_max_bytes)?;
    change
        .once(&(&id, &declared), async |transaction| {
            let upload = current_upload(transaction, &change, &id, &declared).await?;
            Ok(TransferAnswer { transfer: transfer(&change.app, &public_url, upload).await? })
        })
        .await
}

async fn current_upload(
    transaction: &Transaction<'_>,
    call: &Call,
    id: &RunId,
    declared: &Declared,
) -> Result<Upload, ApiError> {
    let run = runs::lock(transaction, &call.caller, id).await?;
    let attached = super::has_archive(&run, declared)?;
    match uploads::find_current(transaction, call.caller.org(), id, declared).await? {
        Some(upload) => Ok(upload),
        None => new_upload(transaction, &call.app, &call.caller, &run, declared, attached).await,
    }
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
        check_open(client, caller).await?;
        TransferStatus::Pending
    };
    let expires_at = Timestamp::now().plus_millis(app.config.upload_expiry_ms);
    let in_store = app.presigner.is_some() && status == TransferStatus::Pending;
    Ok(uploads::insert(client, caller.org(), &run.id, declared, status, expires_at, in_store).await?)
}

async fn check_open(client: &impl GenericClient, caller: &Caller) -> Result<(), ApiError> {
    organizations::lock(client, caller.org()).await?;
    if uploads::count_open(client, caller.org()).await? < OPEN_TRANSFERS {
        return Ok(());
    }
    let message = format!(
        "The organization has {OPEN_TRANSFERS} transfers whose bytes have not arrived: send them, or wait until they expire."
    );
    Err(ApiError::retry_after(Code::QuotaExceeded, message, OPEN_RETRY_AFTER_S)
        .with_details(serde_json::json!({ "quota": "open_transfers" })))
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
