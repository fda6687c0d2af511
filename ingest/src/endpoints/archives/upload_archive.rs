//! `PUT /v1/workspace-runs/{id}/archive`: a small archive, in one request.

use axum::response::Response;
use schemas::api::archive::ArchiveAnswer;
use schemas::id::RunId;
use schemas::scope::Scope;

use crate::archive::{Declared, Receiver, Storing, discard};
use crate::db::archives;
use crate::endpoints::runs;
use crate::http::error::{ApiError, Code};
use crate::http::path_id::PathId;
use crate::operation::parameters::{ARCHIVE_SHA256, ARCHIVE_SIZE, RUN_ID};
use crate::operation::{Change, Content, Keyed, Operation, examples, json};

pub(crate) const OPERATION: Keyed =
    Operation::put("/v1/workspace-runs/{id}/archive", "uploadArchive", "Send a small archive in one request")
        .scope(Scope::WorkspaceRunCreate)
        .takes(&[RUN_ID, ARCHIVE_SHA256, ARCHIVE_SIZE])
        .body(Content::Bytes("application/gzip"))
        .answers(200, json::<ArchiveAnswer>(examples::archive_answer))
        .errors(&[Code::FileTooLarge, Code::UploadConflict, Code::UploadChecksumMismatch, Code::UploadSizeMismatch])
        .keyed();

pub(crate) async fn handle(mut change: Change, PathId(id): PathId<RunId>) -> Result<Response, ApiError> {
    let body = change.take_body();
    let (declared, storing) = match accept(&change, &id).await {
        Ok(Accepted::Upload(declared, storing)) => (declared, storing),
        Ok(Accepted::Repeated(response)) => {
            discard(body).await;
            return Ok(response);
        }
        Err(error) => {
            discard(body).await;
            return Err(error);
        }
    };
    let (app, caller) = (&change.app, &change.caller);
    let receiver = match Receiver::new(app, caller).await {
        Ok(receiver) => receiver,
        Err(error) => {
            discard(body).await;
            return Err(error);
        }
    };
    receiver.receive(body, &declared, storing).await?;
    drop(receiver);
    change
        .once(&(&id, &declared), async |transaction| {
            archives::insert(transaction, caller.org(), &declared).await?;
            let run = runs::lock(transaction, caller, &id).await?;
            super::archive_answer(super::attach(transaction, run, &declared).await?)
        })
        .await
}

enum Accepted {
    Upload(Declared, Storing),
    Repeated(Response),
}

/// Checks everything that can be refused before the bytes come. No connection is held while they do.
async fn accept(change: &Change, id: &RunId) -> Result<Accepted, ApiError> {
    let declared = Declared::from_headers(&change.headers, change.app.config.direct_upload_max_bytes)?;
    declared.check_content_length(&change.headers)?;
    let mut client = change.app.pool.get().await?;
    let run = runs::find(&client, &change.caller, id).await?;
    if let Some(response) = change.repeated(&mut client, &(id, &declared)).await? {
        return Ok(Accepted::Repeated(response));
    }
    let stored =
        super::has_archive(&run, &declared)? || archives::exists(&client, change.caller.org(), &declared).await?;
    Ok(Accepted::Upload(declared, if stored { Storing::VerifyOnly } else { Storing::Store }))
}
