//! `GET /v1/workspace-runs/{id}/evidence/event-log/{part}`: one part of the sealed event log, as it is stored, or one range
//! of it.

use axum::response::Response;
use schemas::id::RunId;
use schemas::scope::Scope;

use crate::db::collector;
use crate::http::download::StoredObject;
use crate::http::error::{ApiError, Code};
use crate::http::path_id::PathPair;
use crate::operation::parameters::{PART, RANGE, RUN_ID};
use crate::operation::{Call, Content, Operation};

pub(crate) const OPERATION: Operation = Operation::get(
    "/v1/workspace-runs/{id}/evidence/event-log/{part}",
    "downloadEventLogPart",
    "One part of a run's event log, byte for byte as it was sealed: zstd frames of NDJSON, with an index",
)
.scope(Scope::WorkspaceRunRead)
.takes(&[RUN_ID, PART, RANGE])
.answers(200, Content::Bytes("application/zstd"))
.errors(&[Code::RangeNotSatisfiable]);

pub(crate) async fn handle(call: Call, PathPair(id, number): PathPair<RunId, u32>) -> Result<Response, ApiError> {
    let client = call.app.pool.get().await?;
    super::sealed_key(&client, &call.caller, &id).await?;
    let parts = collector::parts_of_run(&client, &id).await?;
    drop(client);
    let part = parts.get(number as usize).ok_or_else(|| {
        let message =
            format!("This part of the event log does not exist: the log has {} parts, counted from 0.", parts.len());
        ApiError::new(Code::NotFound, message)
    })?;
    let file_name = part.object_key.rsplit('/').next().unwrap_or_default();
    let stored = StoredObject {
        what: "part of the event log",
        object_key: &part.object_key,
        size_bytes: part.size_bytes,
        // A part is written once, so that its name stands for its content.
        tag: &format!("{id}-{number}"),
        content_type: Some("application/zstd"),
        file_name,
    };
    stored.answer(&call).await
}
