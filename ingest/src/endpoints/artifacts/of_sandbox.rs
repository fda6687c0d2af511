//! `GET /v1/sandboxes/{id}/artifacts`: the artifacts of a sandbox, newest first; deleted artifacts are remembered.

use axum::Json;
use schemas::api::artifact::Artifact;
use schemas::api::list::List;
use schemas::id::SandboxId;
use schemas::scope::Scope;

use crate::db::{collector, runs};
use crate::http::error::ApiError;
use crate::http::path_id::PathId;
use crate::http::query::Query;
use crate::operation::parameters::{CURSOR, LIMIT, SANDBOX_ID};
use crate::operation::{Call, Operation, examples, json};

pub(crate) const OPERATION: Operation =
    Operation::get("/v1/sandboxes/{id}/artifacts", "listArtifacts", "List the artifacts of a sandbox")
        .scope(Scope::ArtifactRead)
        .takes(&[SANDBOX_ID, LIMIT, CURSOR])
        .answers(200, json::<List<Artifact>>(examples::artifacts_of_sandbox));

pub(crate) async fn handle(
    call: Call,
    (PathId(id), query): (PathId<SandboxId>, Query),
) -> Result<Json<List<Artifact>>, ApiError> {
    let page = query.page()?;
    let client = call.app.pool.get().await?;
    let project = runs::project_of_sandbox(&client, call.caller.org(), &id).await?;
    if !project.is_some_and(|project| call.caller.may_see(&project)) {
        return Err(ApiError::not_found("sandbox"));
    }
    let found = collector::artifacts_of_sandbox(&client, call.caller.org(), &id, &page).await?;
    Ok(Json(page.list(found, |artifact| artifact)))
}
