//! `GET /v1/workspace-runs/{id}/events`: a page of what is stored, or with `stream=true` a stream that follows the run.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, BytesMut};
use schemas::api::list::EventPage;
use schemas::event::Event;
use schemas::id::RunId;
use schemas::limits;
use schemas::scope::Scope;

use crate::app::App;
use crate::db::runs::{Progress, Run};
use crate::events::{Follower, Line, Reader, StreamClient};
use crate::http::at_once::Place;
use crate::http::error::ApiError;
use crate::http::path_id::PathId;
use crate::http::query::Query;
use crate::operation::parameters::{EVENTS, MAX_SEQ};
use crate::operation::{Call, Content, Operation, examples, shape};

/// A page ends early where its events are large.
const PAGE_BYTES: u64 = 1024 * 1024;

pub(crate) const OPERATION: Operation = Operation::get(
    "/v1/workspace-runs/{id}/events",
    "listEvents",
    "List the events of a run: a page, or a live stream that ends after the `terminal` event",
)
.scope(Scope::WorkspaceRunRead)
.takes(EVENTS)
.answers(200, Content::Events(shape::<EventPage<Event>>, examples::events));

pub(crate) async fn handle(call: Call, (PathId(id), query): (PathId<RunId>, Query)) -> Result<Response, ApiError> {
    let after = query.number("afterSeq", 0..=MAX_SEQ)?.unwrap_or(0);
    let limit = query.number("limit", 1..=limits::PAGE as u64)?;
    let live = query.flag("stream")?;
    let run = super::find(&call.app.pool.get().await?, &call.caller, &id).await?;
    let app = &call.app;
    let reader = Reader {
        pool: app.pool.clone(),
        store: app.store.clone(),
        run: id,
        reads: app.reads.clone(),
        org: run.org_id.clone(),
    };
    if live {
        let place = app.streams.enter(call.caller.credential(), Duration::ZERO).await?;
        // A client that reconnects sends both: where it began, and how far it got.
        let after = after.max(last_event_id(&call.headers).unwrap_or(0));
        return Ok(stream(app, reader, &run, after, place));
    }
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(limits::PAGE);
    let page = reader.page(after, limit, PAGE_BYTES).await.map_err(ApiError::internal)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], page_of(&page, run.next_seq)).into_response())
}

fn stream(app: &App, reader: Reader, run: &Run, after: u64, place: Place) -> Response {
    let known = Progress { last_seq: run.next_seq.saturating_sub(1), terminal: run.status.is_terminal() };
    let follower = Follower {
        subscription: app.hub.subscribe(&run.id, known),
        reader,
        after,
        heartbeat: Duration::from_millis(app.config.heartbeat_ms),
        stopping: app.stopping.clone(),
        buffers: app.answer_buffers.clone(),
        org: run.org_id.clone(),
        sending: None,
        _client: StreamClient::arrived(&app.metrics.stream_clients, place),
    };
    let headers = [
        (header::CONTENT_TYPE.as_str(), "text/event-stream"),
        (header::CACHE_CONTROL.as_str(), "no-store"),
        // Asks nginx and its kin to pass events on as they come.
        ("x-accel-buffering", "no"),
    ];
    (headers, Body::from_stream(follower.frames())).into_response()
}

fn last_event_id(headers: &HeaderMap) -> Option<u64> {
    headers.get("last-event-id")?.to_str().ok()?.trim().parse().ok().filter(|seq| *seq <= MAX_SEQ)
}

/// The events go out as they are stored, so that no member of theirs is lost or rewritten.
fn page_of(page: &[Line], next_seq: u64) -> bytes::Bytes {
    let mut body = BytesMut::with_capacity(page.iter().map(|line| line.json.len() + 1).sum::<usize>() + 64);
    body.put_slice(b"{\"data\":[");
    for (index, line) in page.iter().enumerate() {
        if index > 0 {
            body.put_u8(b',');
        }
        body.put_slice(&line.json);
    }
    // An empty page ends the list, whatever the numbers say: a client must not ask forever.
    match page.last().filter(|last| last.seq + 1 < next_seq) {
        Some(last) => body.put_slice(format!("],\"hasMore\":true,\"nextSeq\":{}}}", last.seq).as_bytes()),
        None => body.put_slice(b"],\"hasMore\":false}"),
    }
    body.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn pages_are_json_around_the_stored_lines() {
        let line = |seq: u64| Line { seq, json: Bytes::from(format!("{{\"seq\":{seq}}}")) };
        for (page, next_seq, expected) in [
            (vec![], 1, r#"{"data":[],"hasMore":false}"#),
            (vec![], 9, r#"{"data":[],"hasMore":false}"#),
            (vec![line(1), line(2)], 3, r#"{"data":[{"seq":1},{"seq":2}],"hasMore":false}"#),
            (vec![line(1)], 3, r#"{"data":[{"seq":1}],"hasMore":true,"nextSeq":1}"#),
        ] {
            assert_eq!(page_of(&page, next_seq), expected);
        }
    }
}
