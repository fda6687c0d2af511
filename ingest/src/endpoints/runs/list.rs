//! `GET /v1/workspace-runs`: newest first, filtered by project, status, batch, time and metadata.

use axum::Json;
use database::GenericClient;
use schemas::Timestamp;
use schemas::api::list::List;
use schemas::api::run::WorkspaceRun;
use schemas::id::{BatchId, ProjectId};
use schemas::run::RunStatus;
use schemas::scope::Scope;

use crate::app::READ_BYTES;
use crate::auth::Caller;
use crate::db::projects;
use crate::db::runs::{self, Filter, Run};
use crate::http::error::{ApiError, Code};
use crate::http::query::Query;
use crate::operation::parameters::RUN_FILTERS;
use crate::operation::{Call, Operation, examples, json};

/// A page ends early where its runs are large.
const PAGE_BYTES: i64 = 2 * 1024 * 1024;

pub(crate) const OPERATION: Operation = Operation::get(
    "/v1/workspace-runs",
    "listWorkspaceRuns",
    "List runs, newest first; `metadata.KEY=VALUE` in the query, also repeated, keeps those with that metadata",
)
.scope(Scope::WorkspaceRunRead)
.takes(RUN_FILTERS)
.answers(200, json::<List<WorkspaceRun>>(examples::runs))
.errors(&[Code::NotFound]);

pub(crate) async fn handle(call: Call, query: Query) -> Result<Json<List<WorkspaceRun>>, ApiError> {
    let page = query.page()?;
    let metadata = query.prefixed("metadata.");
    if metadata.iter().any(|(key, value)| key.contains('\0') || value.contains('\0')) {
        return Err(ApiError::invalid("metadata: expected strings without NUL."));
    }
    let status = query.parsed::<RunStatus>("status")?;
    let batch = query.parsed::<BatchId>("batchId")?;
    let created_after = query.parsed::<Timestamp>("createdAfter")?;
    let created_before = query.parsed::<Timestamp>("createdBefore")?;
    let _read = call.app.reads.take_in_time(call.caller.org(), READ_BYTES).await?;
    let client = call.app.pool.get().await?;
    let projects = projects_of(&client, &call.caller, &query).await?;
    let filter = Filter { projects, status, batch, created_after, created_before, metadata };
    let (found, total) = runs::list(&client, call.caller.org(), &filter, &page, PAGE_BYTES).await?;
    Ok(Json(page.cut(found, total, Run::into_api)))
}

async fn projects_of(
    client: &impl GenericClient,
    caller: &Caller,
    query: &Query,
) -> Result<Option<Vec<ProjectId>>, ApiError> {
    let Some(text) = query.get("projectId") else { return Ok(caller.only_projects().map(<[_]>::to_vec)) };
    let missing = || ApiError::not_found("project");
    let project: ProjectId = text.parse().map_err(|_| missing())?;
    let exists = caller.may_see(&project) && projects::exists(client, caller.org(), &project).await?;
    if exists { Ok(Some(vec![project])) } else { Err(missing()) }
}
