//! `PUT /v1/uploads/{id}`: the bytes of a staged archive. Putting them again is no error.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use schemas::api::archive::TransferStatus;
use schemas::id::UploadId;
use schemas::scope::Scope;

use crate::app::App;
use crate::archive::{Receiver, Storing, discard};
use crate::auth::Caller;
use crate::db::uploads::Upload;
use crate::db::{archives, uploads};
use crate::http::error::{ApiError, Code};
use crate::http::path_id::PathId;

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<UploadId>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let (upload, storing) = match accept(&app, &caller, &id, &headers).await {
        Ok(accepted) => accepted,
        Err(error) => {
            discard(body).await;
            return error.into_response();
        }
    };
    match receive(&app, &caller, &upload, storing, body).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => error.into_response(),
    }
}

/// Everything that can be refused before the bytes come. No connection is held while they do.
async fn accept(app: &App, caller: &Caller, id: &UploadId, headers: &HeaderMap) -> Result<(Upload, Storing), ApiError> {
    caller.require(Scope::WorkspaceRunCreate)?;
    let client = app.pool.get().await?;
    let upload = uploads::find(&client, caller.org(), id).await?.ok_or_else(upload_not_found)?;
    super::find(&client, caller, &upload.run_id).await.map_err(|_| upload_not_found())?;
    if upload.status_now() == TransferStatus::Expired {
        return Err(upload_expired());
    }
    upload.archive.check_content_length(headers)?;
    let stored = archives::exists(&client, caller.org(), &upload.archive).await?;
    Ok((upload, if stored { Storing::VerifyOnly } else { Storing::Store }))
}

async fn receive(app: &App, caller: &Caller, upload: &Upload, storing: Storing, body: Body) -> Result<(), ApiError> {
    let idle = Duration::from_millis(app.config.body_idle_timeout_ms);
    let receiver = Receiver { store: &app.store, org: caller.org(), idle };
    receiver.receive(body, &upload.archive, storing).await?;
    let mut client = app.pool.get().await?;
    let transaction = client.transaction().await?;
    archives::insert(&transaction, caller.org(), &upload.archive).await?;
    uploads::set_status(&transaction, caller.org(), &upload.id, TransferStatus::Uploaded).await?;
    transaction.commit().await?;
    Ok(())
}

pub(super) fn upload_not_found() -> ApiError {
    ApiError::new(Code::UploadNotFound, "This upload does not exist, or does not belong to this run.")
}

pub(super) fn upload_expired() -> ApiError {
    ApiError::new(Code::UploadExpired, "The time for this upload is over: ask for a new archive transfer.")
}
