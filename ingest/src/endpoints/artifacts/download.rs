//! `GET /v1/artifacts/{id}/download`: the bytes, or one range of them.

use axum::response::Response;
use schemas::id::ArtifactId;
use schemas::scope::Scope;

use crate::http::download::StoredObject;
use crate::http::error::{ApiError, Code};
use crate::http::path_id::PathId;
use crate::operation::parameters::{ARTIFACT_ID, RANGE};
use crate::operation::{Call, Content, Operation};

pub(crate) const OPERATION: Operation =
    Operation::get("/v1/artifacts/{id}/download", "downloadArtifact", "The bytes of an artifact")
        .scope(Scope::ArtifactRead)
        .takes(&[ARTIFACT_ID, RANGE])
        .answers(200, Content::Bytes("*/*"))
        .errors(&[Code::RangeNotSatisfiable]);

pub(crate) async fn handle(call: Call, PathId(id): PathId<ArtifactId>) -> Result<Response, ApiError> {
    let artifact = super::find_kept(&call.app.pool.get().await?, &call.caller, &id).await?;
    let stored = StoredObject {
        what: "artifact",
        object_key: &artifact.object_key,
        size_bytes: artifact.size_bytes,
        tag: &artifact.sha256,
        content_type: artifact.content_type.as_deref(),
        file_name: &artifact.name,
    };
    stored.answer(&call).await
}
