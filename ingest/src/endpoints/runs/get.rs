//! `GET /v1/workspace-runs/{id}`: as the run is now, or with `wait=SECONDS` once it has ended.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use schemas::api::run::RunAnswer;
use schemas::id::RunId;
use schemas::scope::Scope;

use crate::app::App;
use crate::auth::Caller;
use crate::db::runs::{Progress, Run};
use crate::http::error::ApiError;
use crate::http::path_id::PathId;
use crate::http::query::Query;
use crate::openapi::parameters::MAX_WAIT_S;

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<RunId>,
    query: Query,
) -> Result<Json<RunAnswer>, ApiError> {
    caller.require(Scope::WorkspaceRunRead)?;
    let wait = query.number("wait", 0..=MAX_WAIT_S)?.unwrap_or(0);
    let mut run = super::find(&app.pool.get().await?, &caller, &id).await?;
    if wait > 0 && !run.status.is_terminal() {
        until_ended(&app, &run, Duration::from_secs(wait)).await;
        run = super::find(&app.pool.get().await?, &caller, &id).await?;
    }
    Ok(Json(RunAnswer { workspace_run: run.into_api() }))
}

/// Returns when the run has ended, the time is over, or the service stops. Holds no connection to the database.
async fn until_ended(app: &App, run: &Run, wait: Duration) {
    let known = Progress { last_seq: run.next_seq.saturating_sub(1), terminal: false };
    let mut subscription = app.hub.subscribe(&run.id, known);
    tokio::select! {
        _ = subscription.progress.wait_for(|progress| progress.terminal) => {}
        () = tokio::time::sleep(wait) => {}
        () = app.stopping.cancelled() => {}
    }
}
