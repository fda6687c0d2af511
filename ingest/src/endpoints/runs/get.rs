//! `GET /v1/workspace-runs/{id}`

use axum::Json;
use axum::extract::State;
use schemas::api::run::RunAnswer;
use schemas::id::RunId;
use schemas::scope::Scope;

use crate::app::App;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::path_id::PathId;

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<RunId>,
) -> Result<Json<RunAnswer>, ApiError> {
    caller.require(Scope::WorkspaceRunRead)?;
    let run = super::find(&app.pool.get().await?, &caller, &id).await?;
    Ok(Json(RunAnswer { workspace_run: run.into_api() }))
}
