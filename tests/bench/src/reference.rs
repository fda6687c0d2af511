//! The reference for the API: a bare axum server, in a process of its own, that does one equal query for a request
//! and nothing else (no key, no limit, no idempotency), and a bare stream of server-sent events.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use database::{Pool, PostgresConfig};
use infra::config::Secret;
use serde_json::{Value, json};
use tokio::sync::broadcast;

pub(crate) const EVENTS: usize = 100;
pub(crate) const EVENT_EVERY: Duration = Duration::from_millis(20);
/// Connections: as many as ingest has.
const POOL: u16 = 8;

const INSERT: &str = "insert into ingest.runs (id, org_id, project_id, status, command, template_id, template_slug,
        template_version, template_version_id, artifacts, metadata, timeout_ms, traceparent, created_at)
    select 'wsr_' || md5(random()::text), org_id, project_id, 'awaiting_archive', command, template_id, template_slug,
        template_version, template_version_id, artifacts, metadata, timeout_ms, traceparent, now()
    from ingest.runs where id = $1 returning id, status, command";

#[derive(Clone)]
struct Reference {
    pool: Pool,
    frames: broadcast::Sender<Bytes>,
}

/// Serves until it is killed. The database's address comes in `CROWNEST_DATABASE_URL`.
pub(crate) async fn serve(listen: SocketAddr) -> anyhow::Result<()> {
    let database_url = Secret::new(std::env::var("CROWNEST_DATABASE_URL")?);
    let pool = database::open(&PostgresConfig { database_url, database_pool: POOL })?;
    let reference = Reference { pool, frames: broadcast::channel(EVENTS).0 };
    let router = Router::new()
        .route("/runs/{id}", get(find).post(create))
        .route("/stream", get(stream))
        .route("/go", post(go))
        .with_state(reference);
    Ok(axum::serve(tokio::net::TcpListener::bind(listen).await?, router).await?)
}

async fn find(State(reference): State<Reference>, Path(id): Path<String>) -> Result<Json<Value>, StatusCode> {
    query(&reference.pool, "select * from ingest.runs where id = $1", &id).await.map(Json)
}

async fn create(
    State(reference): State<Reference>,
    Path(like): Path<String>,
    body: Json<Value>,
) -> Result<(StatusCode, Json<Value>), StatusCode> {
    let made = query(&reference.pool, INSERT, &like).await?;
    debug_assert!(body.is_object());
    Ok((StatusCode::CREATED, Json(made)))
}

async fn query(pool: &Pool, sql: &str, id: &str) -> Result<Value, StatusCode> {
    let failed = |_| StatusCode::INTERNAL_SERVER_ERROR;
    let client = pool.get().await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let statement = client.prepare_cached(sql).await.map_err(failed)?;
    let row = client.query_one(&statement, &[&id]).await.map_err(failed)?;
    let (id, status, command): (String, String, String) = (row.get("id"), row.get("status"), row.get("command"));
    Ok(json!({ "workspaceRun": { "id": id, "status": status, "command": command } }))
}

async fn stream(State(reference): State<Reference>) -> Response {
    let frames = reference.frames.subscribe();
    let frames = futures_util::stream::unfold(frames, |mut frames| async move {
        let frame = frames.recv().await.ok().filter(|frame| !frame.is_empty())?;
        Some((Ok::<_, Infallible>(frame), frames))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(frames)).into_response()
}

/// Sends all events to the followers, then ends the streams.
async fn go(State(reference): State<Reference>) -> StatusCode {
    for seq in 1..=EVENTS {
        let event = json!({"seq": seq, "createdAt": "2026-01-31T12:00:00.000Z", "type": "stdout", "data": "line 1\n"});
        let _ = reference.frames.send(Bytes::from(format!("id: {seq}\ndata: {event}\n\n")));
        tokio::time::sleep(EVENT_EVERY).await;
    }
    let _ = reference.frames.send(Bytes::new());
    StatusCode::NO_CONTENT
}
