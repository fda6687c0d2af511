//! `/v1/workspace-runs`

pub(super) mod cancel;
pub(super) mod create;
mod enqueue;
pub(super) mod events;
pub(super) mod get;
pub(super) mod list;
pub(super) mod start;

use database::GenericClient;
use schemas::id::RunId;

use crate::auth::Caller;
use crate::db::runs::{self, Run};
use crate::http::error::ApiError;

/// Finds a run, if the caller may see it.
pub(super) async fn find(client: &impl GenericClient, caller: &Caller, id: &RunId) -> Result<Run, ApiError> {
    visible(caller, runs::find(client, caller.org(), id).await?)
}

/// Finds a run and locks it until the transaction ends.
pub(super) async fn lock(client: &impl GenericClient, caller: &Caller, id: &RunId) -> Result<Run, ApiError> {
    visible(caller, runs::lock(client, caller.org(), id).await?)
}

fn visible(caller: &Caller, run: Option<Run>) -> Result<Run, ApiError> {
    let run = run.filter(|run| caller.may_see(&run.project_id)).ok_or_else(|| ApiError::not_found("workspace run"))?;
    let span = tracing::Span::current();
    span.record("run_id", run.id.as_str());
    span.record("trace_id", infra::traceparent::trace_id(&run.traceparent));
    Ok(run)
}
