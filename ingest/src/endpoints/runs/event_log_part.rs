//! `GET /v1/workspace-runs/{id}/evidence/event-log/{part}`: one part of the sealed event log, as it is stored, or one range
//! of it.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use schemas::id::RunId;
use schemas::scope::Scope;

use crate::app::App;
use crate::auth::Caller;
use crate::db::collector;
use crate::http::download::StoredObject;
use crate::http::error::{ApiError, Code};
use crate::http::path_id::PathPair;

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathPair(id, number): PathPair<RunId, u32>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    caller.require(Scope::WorkspaceRunRead)?;
    let client = app.pool.get().await?;
    super::sealed_key(&client, &caller, &id).await?;
    let parts = collector::parts_of_run(&client, &id).await?;
    drop(client);
    let part = parts.get(number as usize).ok_or_else(|| {
        let message = format!("This part of the event log does not exist: it has {}, counted from 0.", parts.len());
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
    stored.answer(&app.store, &headers).await
}
