//! A fake of the routes that one run needs: create, upload, start, status, stored events, stream.

use serde_json::{Value, json};

use crate::server::{Reply, Request, Server};

pub(crate) const RUN: &str = "wsr_1";

pub(crate) fn run(status: &str) -> Value {
    json!({"id": RUN, "status": status, "command": "make", "futureField": {"kept": true}})
}

pub(crate) fn output(seq: u64, kind: &str, data: &str) -> Value {
    json!({"seq": seq, "createdAt": "2026-01-01T00:00:00.000Z", "type": kind, "data": data})
}

pub(crate) fn terminal(seq: u64, mut run: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        run[name] = value.clone();
    }
    json!({"seq": seq, "createdAt": "2026-01-01T00:00:00.000Z", "type": "terminal", "workspaceRun": run})
}

pub(crate) fn frame(event: &Value) -> Vec<u8> {
    format!("id: {}\ndata: {event}\n\n", event["seq"]).into_bytes()
}

pub(crate) fn frames(events: &[Value]) -> Vec<u8> {
    events.iter().flat_map(frame).collect()
}

/// The sequence number after which a request for events wants to go on.
pub(crate) fn after_seq(request: &Request) -> u64 {
    let query = request.path.split_once("afterSeq=").unwrap().1;
    query.split('&').next().unwrap().parse().unwrap()
}

pub(crate) fn is_stream(request: &Request) -> bool {
    request.path.contains("stream=true")
}

/// A server with one run; `stream` answers the requests for live events, counted from 0.
pub(crate) fn start(stream: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |request, before| respond(request).unwrap_or_else(|| stream(request, before)))
}

/// Answers everything except requests for events.
pub(crate) fn respond(request: &Request) -> Option<Reply> {
    let of_run = |status: &str| Reply::Json(200, json!({"workspaceRun": run(status)}));
    Some(match request.route().as_str() {
        "POST /v1/workspace-runs" => Reply::Json(201, json!({"workspaceRun": run("awaiting_archive")})),
        "PUT /v1/workspace-runs/wsr_1/archive" => {
            Reply::Json(200, json!({"archive": {}, "workspaceRun": run("archive_uploaded")}))
        }
        "POST /v1/workspace-runs/wsr_1/start" => of_run("starting"),
        "POST /v1/workspace-runs/wsr_1/cancel" => of_run("canceled"),
        "GET /v1/workspace-runs/wsr_1" => of_run("running"),
        "GET /v1/workspace-runs/wsr_1/events" => return None,
        route => Reply::Json(404, json!({"error": {"code": "not_found", "message": format!("no route {route}")}})),
    })
}
