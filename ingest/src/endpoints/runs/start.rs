//! `POST /v1/workspace-runs/{id}/start`: reserves a slot, and the job goes to the executors. Starting again changes
//! nothing.

use axum::response::Response;
use database::Transaction;
use schemas::Timestamp;
use schemas::api::run::RunAnswer;
use schemas::id::RunId;
use schemas::run::RunStatus;
use schemas::scope::Scope;

use super::enqueue;
use crate::app::App;
use crate::db::runs::{self, Run};
use crate::http::error::{ApiError, Code};
use crate::http::path_id::PathId;
use crate::operation::parameters::RUN_ID;
use crate::operation::{Change, Keyed, Operation, examples, json};

pub(crate) const OPERATION: Keyed =
    Operation::post("/v1/workspace-runs/{id}/start", "startWorkspaceRun", "Start a run that has its archive")
        .scope(Scope::WorkspaceRunCreate)
        .takes(&[RUN_ID])
        .answers(200, json::<RunAnswer>(examples::run_answer))
        .errors(&[Code::UploadIncomplete, Code::UploadConflict, Code::QuotaExceeded])
        .keyed();

pub(crate) async fn handle(change: Change, PathId(id): PathId<RunId>) -> Result<Response, ApiError> {
    let response = change
        .once(&[id.as_str()], async |transaction| {
            let mut run = super::lock(transaction, &change.caller, &id).await?;
            if run.is_open() {
                run = start(transaction, &change.app, run).await?;
            }
            Ok(RunAnswer { workspace_run: run.into_api() })
        })
        .await?;
    change.app.outbox.wake();
    Ok(response)
}

async fn start(transaction: &Transaction<'_>, app: &App, run: Run) -> Result<Run, ApiError> {
    if run.status == RunStatus::AwaitingArchive {
        let message = "This run has no archive yet: upload it before you start the run.";
        return Err(ApiError::new(Code::UploadIncomplete, message));
    }
    let queued_at = Timestamp::now();
    let started = runs::start(transaction, &run.org_id, &run.id, queued_at).await?;
    let run =
        started.ok_or_else(|| ApiError::internal(anyhow::anyhow!("run {} changed while it was locked", run.id)))?;
    enqueue::enqueue(transaction, app, &run, queued_at).await?;
    Ok(run)
}
