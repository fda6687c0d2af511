//! `GET /v1/artifacts/{id}`

use axum::Json;
use schemas::api::artifact::ArtifactAnswer;
use schemas::id::ArtifactId;
use schemas::scope::Scope;

use crate::http::error::ApiError;
use crate::http::path_id::PathId;
use crate::operation::parameters::ARTIFACT_ID;
use crate::operation::{Call, Operation, examples, json};

pub(crate) const OPERATION: Operation =
    Operation::get("/v1/artifacts/{id}", "getArtifact", "One artifact, without its bytes")
        .scope(Scope::ArtifactRead)
        .takes(&[ARTIFACT_ID])
        .answers(200, json::<ArtifactAnswer>(examples::artifact_answer));

pub(crate) async fn handle(call: Call, PathId(id): PathId<ArtifactId>) -> Result<Json<ArtifactAnswer>, ApiError> {
    let artifact = super::find(&call.app.pool.get().await?, &call.caller, &id).await?;
    Ok(Json(ArtifactAnswer { artifact }))
}
