//! `POST /v1/workspace-runs/{id}/cancel`: asks for the end of a run. What follows is the collector's to write, so
//! the answer is the run as it is now.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use infra::outbox::Letter;
use infra::postgres::Transaction;
use schemas::api::run::RunAnswer;
use schemas::id::RunId;
use schemas::message::{Control, EventMessage, Verdict, encode_json};
use schemas::run::OutcomeSource;
use schemas::scope::Scope;

use crate::app::App;
use crate::auth::Caller;
use crate::db::runs::{self, Run};
use crate::http::error::ApiError;
use crate::http::path_id::PathId;
use crate::idempotency::{Begun, IdempotencyKey, conclude};

const ROUTE: (&str, &str) = ("POST", "/v1/workspace-runs/{id}/cancel");

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    PathId(id): PathId<RunId>,
) -> Result<Response, ApiError> {
    caller.require(Scope::WorkspaceRunCancel)?;
    let mut client = app.pool.get().await?;
    let transaction = client.transaction().await?;
    let done = answer(&app, &transaction, &caller, &key, &id).await;
    let response = conclude(transaction, done).await?;
    app.outbox.wake();
    Ok(response)
}

async fn answer(
    app: &App,
    transaction: &Transaction<'_>,
    caller: &Caller,
    key: &IdempotencyKey,
    id: &RunId,
) -> Result<Response, ApiError> {
    let attempt = match key.begin(transaction, caller, ROUTE, &[id.as_str()]).await? {
        Begun::Fresh(attempt) => attempt,
        Begun::Replayed(response) => return Ok(response),
    };
    let before = super::lock(transaction, caller, id).await?;
    let letters = letters(app, &before)?;
    let after = runs::request_cancel(transaction, caller.org(), id).await?;
    app.outbox.insert(transaction, &letters).await?;
    // Nothing was updated where the run is over: it is returned as it is.
    let answer = RunAnswer { workspace_run: after.unwrap_or(before).into_api() };
    attempt.finish(transaction, StatusCode::OK, &answer).await
}

/// Whom to tell. A run that no executor has claimed is ended by the collector; else its executor is asked to stop.
fn letters(app: &App, run: &Run) -> Result<Vec<Letter>, ApiError> {
    if run.status.is_terminal() {
        return Ok(Vec::new());
    }
    let (target, body) = if run.attempt > 0 {
        // Asking again tells the executors again: the hint may have been lost.
        let control = Control::Cancel { run_id: run.id.clone() };
        (app.topology.control(), encode_json(&control))
    } else if run.cancel_requested_at.is_some() || run.expired_at.is_some() {
        return Ok(Vec::new());
    } else {
        let message = EventMessage::abandoned(run.id.clone(), 0, Verdict::Canceled, OutcomeSource::User, None);
        (app.topology.events_of(&run.id), message.encode())
    };
    let body = body.map_err(ApiError::internal)?;
    Ok(vec![Letter { target, body: body.into(), traceparent: Some(run.traceparent.clone()) }])
}
