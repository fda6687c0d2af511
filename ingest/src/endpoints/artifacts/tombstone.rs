//! `GET /v1/artifacts/{id}/tombstone`: the tombstone of a deleted artifact, byte for byte as it is stored.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use infra::s3::StoreError;
use schemas::artifact::tombstone::Tombstone;
use schemas::id::ArtifactId;
use schemas::scope::Scope;

use crate::http::error::{ApiError, Code};
use crate::http::path_id::PathId;
use crate::operation::parameters::ARTIFACT_ID;
use crate::operation::{Call, Operation, examples, json};

pub(crate) const OPERATION: Operation = Operation::get(
    "/v1/artifacts/{id}/tombstone",
    "getTombstone",
    "The tombstone of a deleted artifact, as it is stored when the bytes are deleted",
)
.scope(Scope::ArtifactRead)
.takes(&[ARTIFACT_ID])
.answers(200, json::<Tombstone>(examples::tombstone));

pub(crate) async fn handle(call: Call, PathId(id): PathId<ArtifactId>) -> Result<Response, ApiError> {
    let artifact = super::find(&call.app.pool.get().await?, &call.caller, &id).await?;
    if artifact.deleted_at.is_none() {
        return Err(ApiError::new(Code::NotFound, "This artifact has no tombstone: it is not deleted."));
    }
    let key = Tombstone::object_key(&artifact.object_key).ok_or_else(|| ApiError::not_found("tombstone"))?;
    let stored = match call.app.store.get(&key).await {
        Err(StoreError::NotFound(_)) => {
            let message =
                "The tombstone of this artifact does not exist yet: it is written when the bytes are deleted.";
            return Err(ApiError::new(Code::NotFound, message));
        }
        stored => stored?,
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ];
    Ok((headers, stored).into_response())
}
