//! `GET /v1/sandboxes/{id}/artifacts`: what was kept of a sandbox, newest first; deleted ones are remembered.

use axum::Json;
use axum::extract::State;
use schemas::api::artifact::Artifact;
use schemas::api::list::List;
use schemas::id::SandboxId;
use schemas::scope::Scope;

use crate::app::App;
use crate::auth::Caller;
use crate::db::{collector, runs};
use crate::http::error::ApiError;
use crate::http::path_id::PathId;
use crate::http::query::Query;

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<SandboxId>,
    query: Query,
) -> Result<Json<List<Artifact>>, ApiError> {
    caller.require(Scope::ArtifactRead)?;
    let page = query.page()?;
    let client = app.pool.get().await?;
    let project = runs::project_of_sandbox(&client, caller.org(), &id).await?;
    if !project.is_some_and(|project| caller.may_see(&project)) {
        return Err(ApiError::not_found("sandbox"));
    }
    let found = collector::artifacts_of_sandbox(&client, caller.org(), &id, &page).await?;
    Ok(Json(page.list(found, |artifact| artifact)))
}
