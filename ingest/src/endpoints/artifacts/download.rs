//! `GET /v1/artifacts/{id}/download`: the bytes, or one range of them.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use schemas::id::ArtifactId;
use schemas::scope::Scope;

use crate::app::App;
use crate::auth::Caller;
use crate::http::download::StoredObject;
use crate::http::error::ApiError;
use crate::http::path_id::PathId;

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<ArtifactId>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    caller.require(Scope::ArtifactRead)?;
    let artifact = super::find_kept(&app.pool.get().await?, &caller, &id).await?;
    let stored = StoredObject {
        what: "artifact",
        object_key: &artifact.object_key,
        size_bytes: artifact.size_bytes,
        tag: &artifact.sha256,
        content_type: artifact.content_type.as_deref(),
        file_name: &artifact.name,
    };
    stored.answer(&app.store, &headers).await
}
