//! `PUT /v1/uploads/{id}`: the bytes of a staged archive, which may be put again.

use axum::body::Body;
use axum::http::StatusCode;
use schemas::api::archive::TransferStatus;
use schemas::id::UploadId;
use schemas::scope::Scope;

use super::{upload_expired, upload_not_found};
use crate::archive::{Receiver, Storing, discard};
use crate::db::uploads::Upload;
use crate::db::{archives, uploads};
use crate::endpoints::runs;
use crate::http::error::{ApiError, Code};
use crate::http::path_id::PathId;
use crate::operation::parameters::UPLOAD_ID;
use crate::operation::{Call, Content, Operation};

pub(crate) const OPERATION: Operation =
    Operation::put("/v1/uploads/{id}", "putStagedArchive", "Send a large archive to its transfer's uploadUrl")
        .scope(Scope::WorkspaceRunCreate)
        .takes(&[UPLOAD_ID])
        .body(Content::Bytes("application/gzip"))
        .empty(204)
        .errors(&[Code::UploadNotFound, Code::UploadExpired, Code::UploadChecksumMismatch, Code::UploadSizeMismatch]);

pub(crate) async fn handle(mut call: Call, PathId(id): PathId<UploadId>) -> Result<StatusCode, ApiError> {
    let body = call.take_body();
    let accepted = async {
        let (upload, storing) = accept(&call, &id).await?;
        Ok((upload, storing, Receiver::new(&call.app, &call.caller).await?))
    };
    match accepted.await {
        Ok((upload, storing, receiver)) => receive(&call, &upload, storing, &receiver, body).await?,
        Err(error) => {
            discard(body).await;
            return Err(error);
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Checks everything that can be refused before the bytes come. No connection is held while they do.
async fn accept(call: &Call, id: &UploadId) -> Result<(Upload, Storing), ApiError> {
    let caller = &call.caller;
    let client = call.app.pool.get().await?;
    let upload = uploads::find(&client, caller.org(), id).await?.ok_or_else(upload_not_found)?;
    runs::find(&client, caller, &upload.run_id).await.map_err(|_| upload_not_found())?;
    if upload.status_now() == TransferStatus::Expired {
        return Err(upload_expired());
    }
    upload.archive.check_content_length(&call.headers)?;
    let stored = archives::exists(&client, caller.org(), &upload.archive).await?;
    Ok((upload, if stored { Storing::VerifyOnly } else { Storing::Store }))
}

async fn receive(
    call: &Call,
    upload: &Upload,
    storing: Storing,
    receiver: &Receiver<'_>,
    body: Body,
) -> Result<(), ApiError> {
    let (app, caller) = (&call.app, &call.caller);
    receiver.receive(body, &upload.archive, storing).await?;
    let mut client = app.pool.get().await?;
    let transaction = client.transaction().await?;
    archives::insert(&transaction, caller.org(), &upload.archive).await?;
    uploads::set_status(&transaction, caller.org(), &upload.id, TransferStatus::Uploaded).await?;
    transaction.commit().await?;
    Ok(())
}
