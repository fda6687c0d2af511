//! `GET /v1/artifacts/{id}`

use axum::Json;
use axum::extract::State;
use schemas::api::artifact::ArtifactAnswer;
use schemas::id::ArtifactId;
use schemas::scope::Scope;

use crate::app::App;
use crate::auth::Caller;
use crate::http::error::ApiError;
use crate::http::path_id::PathId;

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<ArtifactId>,
) -> Result<Json<ArtifactAnswer>, ApiError> {
    caller.require(Scope::ArtifactRead)?;
    let artifact = super::find(&app.pool.get().await?, &caller, &id).await?;
    Ok(Json(ArtifactAnswer { artifact }))
}
