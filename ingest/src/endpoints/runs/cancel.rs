//! `POST /v1/workspace-runs/{id}/cancel`: asks for the end of a run. What follows is the collector's to write, so
//! the answer is the run as it is now.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use database::OutboxMessage;
use database::Transaction;
use schemas::Timestamp;
use schemas::api::run::RunAnswer;
use schemas::id::RunId;
use schemas::message::{Control, EventMessage, RunEnd, Verdict, encode_json};
use schemas::run::OutcomeSource;
use schemas::scope::Scope;

use crate::app::App;
use crate::auth::Caller;
use crate::db::runs::{self, Run};
use crate::error::ApiError;
use crate::idempotency::{Begun, IdempotencyKey, conclude};
use crate::path_id::PathId;

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
fn letters(app: &App, run: &Run) -> Result<Vec<OutboxMessage>, ApiError> {
    if run.status.is_terminal() {
        return Ok(Vec::new());
    }
    let traceparent = Some(run.traceparent.clone());
    let message = if run.attempt > 0 {
        // Asking again tells the executors again: the hint may have been lost.
        let body = encode_json(&Control::Cancel { run_id: run.id.clone() }).map_err(ApiError::internal)?;
        OutboxMessage::json(app.topology.control(), body, traceparent)
    } else if run.cancel_requested_at.is_some() || run.expired_at.is_some() {
        return Ok(Vec::new());
    } else {
        let end = RunEnd::Abandoned {
            reason: Verdict::Canceled,
            source: OutcomeSource::User,
            at: Timestamp::now(),
            message: None,
        };
        let message = EventMessage { run_id: run.id.clone(), attempt: 0, segment: None, end: Some(end) };
        let body = message.encode().map_err(ApiError::internal)?;
        OutboxMessage::event(app.topology.events_of(&run.id), body, traceparent)
    };
    Ok(vec![message])
}
