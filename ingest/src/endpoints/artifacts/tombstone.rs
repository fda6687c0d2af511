//! `GET /v1/artifacts/{id}/tombstone`: what is left of a deleted artifact, byte for byte as it is stored.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use infra::s3::StoreError;
use schemas::artifact::tombstone::Tombstone;
use schemas::id::ArtifactId;
use schemas::scope::Scope;

use crate::app::App;
use crate::auth::Caller;
use crate::error::{ApiError, Code};
use crate::path_id::PathId;

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<ArtifactId>,
) -> Result<Response, ApiError> {
    caller.require(Scope::ArtifactRead)?;
    let artifact = super::find(&app.pool.get().await?, &caller, &id).await?;
    if artifact.deleted_at.is_none() {
        return Err(ApiError::new(Code::NotFound, "This artifact has no tombstone: it is not deleted."));
    }
    let key = Tombstone::object_key(&artifact.object_key).ok_or_else(|| ApiError::not_found("tombstone"))?;
    let stored = match app.store.get(&key).await {
        Err(StoreError::NotFound(_)) => {
            let message = "The tombstone of this artifact is not written yet: that is when its bytes go.";
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
