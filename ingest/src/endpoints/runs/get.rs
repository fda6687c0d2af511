//! `GET /v1/workspace-runs/{id}`: as the run is now, or with `wait=SECONDS` once it has ended.

use std::time::Duration;

use axum::Json;
use schemas::api::run::RunAnswer;
use schemas::id::RunId;
use schemas::scope::Scope;

use crate::app::App;
use crate::db::runs::{Progress, Run};
use crate::http::error::ApiError;
use crate::http::path_id::PathId;
use crate::http::query::Query;
use crate::operation::parameters::{MAX_WAIT_S, RUN_ID, WAIT};
use crate::operation::{Call, Operation, examples, json};

pub(crate) const OPERATION: Operation =
    Operation::get("/v1/workspace-runs/{id}", "getWorkspaceRun", "One run, as it is now or when it has ended")
        .scope(Scope::WorkspaceRunRead)
        .takes(&[RUN_ID, WAIT])
        .answers(200, json::<RunAnswer>(examples::run_answer));

pub(crate) async fn handle(
    call: Call,
    (PathId(id), query): (PathId<RunId>, Query),
) -> Result<Json<RunAnswer>, ApiError> {
    let wait = query.number("wait", 0..=MAX_WAIT_S)?.unwrap_or(0);
    let mut run = super::find(&call.app.pool.get().await?, &call.caller, &id).await?;
    if wait > 0 && !run.status.is_terminal() {
        let _place = call.app.streams.enter(call.caller.credential(), Duration::ZERO).await?;
        until_ended(&call.app, &run, Duration::from_secs(wait)).await;
        run = super::find(&call.app.pool.get().await?, &call.caller, &id).await?;
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
