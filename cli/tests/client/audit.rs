//! `evidence audit` when something cannot be checked; its findings are tested with a real log.

use serde_json::{Value, json};

use crate::command::{Ended, Home};
use crate::server::{Reply, Server};

const KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

/// An API with these runs and an empty log, where the key may not read evidence.
fn api(runs: Value, keys: &'static str) -> Server {
    let refused = |code: &str| json!({"error": {"code": code, "message": "no"}});
    Server::start(move |request, _| match request.route().as_str() {
        "GET /.well-known/jwks.json" => Reply::Bytes(200, Vec::new(), keys.as_bytes().to_vec()),
        "GET /v1/workspace-runs" => Reply::Json(200, json!({"data": runs, "hasMore": false})),
        "GET /v1/workspace-runs/wsr_1/evidence" => Reply::Json(403, refused("forbidden")),
        _ => Reply::Json(404, refused("not_found")),
    })
}

fn audit(home: &Home, server: &Server, args: &[&str]) -> Ended {
    home.run(&server.url, &[&["evidence", "audit", "--json"], args].concat())
}

#[test]
fn an_empty_log_is_as_it_should_be() {
    let (home, server) = (Home::new(), api(json!([{"id": "wsr_2", "status": "running"}]), KEYS));
    // Keys that only the server vouches for prove nothing.
    assert_eq!(audit(&home, &server, &[]).code, Some(4));
    home.file("keys.json", KEYS.as_bytes());
    let ended = audit(&home, &server, &["--keys", "keys.json"]).success();
    assert_eq!(ended.lines()[0]["data"]["runsChecked"], 0);
}

#[test]
fn what_cannot_be_read_is_told_from_what_was_changed() {
    let (home, server) = (Home::new(), api(json!([{"id": "wsr_1", "projectId": "prj_1", "status": "failed"}]), KEYS));
    let ended = audit(&home, &server, &[]);
    assert_eq!(ended.code, Some(1));
    let report = &ended.lines()[0]["data"];
    assert_eq!((&report["passed"], &report["problems"]), (&json!(false), &json!([])));
    assert_eq!(report["notChecked"][0]["workspaceRunId"], "wsr_1");
    assert!(home.run(&server.url, &["evidence", "audit"]).out().contains("incomplete: 1 could not be checked"));
    let ended = audit(&home, &server, &["--run", "wsr_9"]);
    assert_eq!((ended.code, &ended.lines()[0]["data"]["problems"][0]["code"]), (Some(3), &json!("run_missing")));
}

#[test]
fn without_keys_or_with_a_strange_state_nothing_is_claimed() {
    let home = Home::new();
    let ended = audit(&home, &api(json!([]), "{\"keys\":[]}"), &[]);
    assert_eq!((ended.code, ended.error()["code"].as_str()), (Some(1), Some("invalid_keys")));
    home.file("state.json", b"{}");
    let ended = audit(&home, &api(json!([]), KEYS), &["--state", "state.json"]);
    assert_eq!((ended.code, ended.error()["code"].as_str()), (Some(1), Some("invalid_state")));
}
