//! The requests that are repeated, and their pauses.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::command::Home;
use crate::run_api::run;
use crate::server::{Reply, Server};

fn error(status: u16, code: &str) -> Reply {
    Reply::Json(status, json!({"error": {"code": code, "message": "no"}}))
}

#[test]
fn a_mutating_request_is_repeated_with_its_key() {
    let server = Server::start(|_, attempt| match attempt {
        0 => Reply::Hangup,
        1 => error(500, "internal_error"),
        2 => error(409, "idempotency_request_in_progress"),
        3 => Reply::Cut(201, vec![("content-type", "application/json".to_owned())], b"{\"works".to_vec()),
        _ => Reply::Json(201, json!({"workspaceRun": run("awaiting_archive")})),
    });
    Home::new().run(&server.url, &["runs", "create", "--", "true"]).success();
    let requests = server.requests();
    assert_eq!(requests.len(), 5);
    let key = requests[0].header("idempotency-key").unwrap();
    assert!(requests.iter().all(|request| request.header("idempotency-key") == Some(key)));
    assert!(requests.iter().all(|request| request.body == requests[0].body));
}

#[test]
fn the_users_key_is_sent_as_it_is() {
    let server = Server::start(|_, _| Reply::Json(200, json!({"workspaceRun": run("canceled")})));
    Home::new().run(&server.url, &["runs", "cancel", "wsr_1", "--idempotency-key", "mine"]).success();
    assert_eq!(server.requests()[0].header("idempotency-key"), Some("mine"));
}

#[test]
fn retry_after_is_honoured() {
    let server = Server::start(|_, attempt| match attempt {
        0 => {
            let headers = vec![("retry-after", "1".to_owned()), ("content-type", "application/json".to_owned())];
            Reply::Bytes(429, headers, br#"{"error":{"code":"rate_limited","message":"slow down"}}"#.to_vec())
        }
        _ => Reply::Json(200, json!({"workspaceRun": run("running")})),
    });
    let begun = Instant::now();
    Home::new().run(&server.url, &["runs", "status", "wsr_1"]).success();
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_quota_that_resets_tomorrow_is_not_waited_for() {
    let server = Server::start(|_, _| {
        let headers = vec![("retry-after", "86400".to_owned()), ("content-type", "application/json".to_owned())];
        Reply::Bytes(429, headers, br#"{"error":{"code":"quota_exceeded","message":"used up"}}"#.to_vec())
    });
    let ended = Home::new().run(&server.url, &["runs", "start", "wsr_1", "--json"]);
    assert_eq!(ended.code, Some(1));
    assert_eq!((ended.error()["code"].as_str(), server.requests().len()), (Some("quota_exceeded"), 1));
}

#[test]
fn what_cannot_succeed_is_not_repeated() {
    let server = Server::start(|_, _| error(403, "forbidden"));
    assert_eq!(Home::new().run(&server.url, &["usage"]).code, Some(1));
    assert_eq!(server.requests().len(), 1);
}
