//! `POST /v1/workspace-runs/{id}/cancel`: asks for the end of a run. The collector writes the end, so the answer is the
//! run as it is now.

use axum::response::Response;
use database::OutboxMessage;
use schemas::api::run::RunAnswer;
use schemas::id::RunId;
use schemas::message::{Control, EventMessage, Verdict, encode_json};
use schemas::run::OutcomeSource;
use schemas::scope::Scope;

use crate::app::App;
use crate::db::runs::{self, Run};
use crate::http::error::ApiError;
use crate::http::path_id::PathId;
use crate::operation::parameters::RUN_ID;
use crate::operation::{Change, Keyed, Operation, examples, json};

pub(crate) const OPERATION: Keyed = Operation::post(
    "/v1/workspace-runs/{id}/cancel",
    "cancelWorkspaceRun",
    "Stop a run; one that has ended is returned as it is",
)
.scope(Scope::WorkspaceRunCancel)
.takes(&[RUN_ID])
.answers(200, json::<RunAnswer>(examples::run_answer))
.keyed();

pub(crate) async fn handle(change: Change, PathId(id): PathId<RunId>) -> Result<Response, ApiError> {
    let (app, caller) = (&change.app, &change.caller);
    let response = change
        .once(&[id.as_str()], async |transaction| {
            let before = super::lock(transaction, caller, &id).await?;
            let messages = messages(app, &before)?;
            let after = runs::request_cancel(transaction, caller.org(), &id).await?;
            app.outbox.insert(transaction, &messages).await?;
            // A run that is over was not updated: it is returned as it is.
            Ok(RunAnswer { workspace_run: after.unwrap_or(before).into_api() })
        })
        .await?;
    app.outbox.wake();
    Ok(response)
}

/// The messages about a cancellation. The collector ends a run that no executor has claimed; otherwise the executor is
/// asked to stop.
fn messages(app: &App, run: &Run) -> Result<Vec<OutboxMessage>, ApiError> {
    if run.status.is_terminal() {
        return Ok(Vec::new());
    }
    let traceparent = Some(run.traceparent.clone());
    let message = if run.attempt > 0 {
        // Asking again tells the executors again: the hint may have been lost.
        let body = encode_json(&Control::Cancel { run_id: run.id.clone() }).map_err(ApiError::internal)?;
        OutboxMessage::json(app.topology.control(), body, &run.id, traceparent)
    } else if run.cancel_requested_at.is_some() || run.expired_at.is_some() {
        return Ok(Vec::new());
    } else {
        let message = EventMessage::abandoned(run.id.clone(), 0, Verdict::Canceled, OutcomeSource::User, None);
        let body = message.encode().map_err(ApiError::internal)?;
        OutboxMessage::event(app.topology.events_of(&run.id), body, &run.id, traceparent)
    };
    Ok(vec![message])
}
