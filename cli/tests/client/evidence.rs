//! `evidence`: to a file, to standard output, and while there is none yet.

use serde_json::{Value, json};

use crate::command::Home;
use crate::run_api::run;
use crate::server::{Reply, Server};

/// Evidence that is there at the n-th request (from 0).
fn api(ready_at: usize) -> Server {
    Server::start(move |request, before| match request.route().as_str() {
        "GET /v1/workspace-runs/wsr_1/evidence" if before >= ready_at => {
            Reply::Json(200, json!({"evidence": bundle()}))
        }
        "GET /v1/workspace-runs/wsr_1" => Reply::Json(200, json!({"workspaceRun": run("collecting")})),
        _ => Reply::Json(404, json!({"error": {"code": "not_found", "message": "nothing here"}})),
    })
}

fn bundle() -> Value {
    json!({"workspaceRunId": "wsr_1", "exitCode": 0, "futureField": [1, 2]})
}

#[test]
fn is_written_indented_or_printed_as_data() {
    let (home, server) = (Home::new(), api(0));
    home.run(&server.url, &["runs", "evidence", "wsr_1", "--output", "evidence.json"]).success();
    let text = std::fs::read_to_string(home.path().join("evidence.json")).unwrap();
    assert_eq!(text, serde_json::to_string_pretty(&bundle()).unwrap() + "\n");
    let ended = home.run(&server.url, &["runs", "evidence", "wsr_1"]).success();
    assert_eq!(ended.lines(), [json!({"data": bundle()})]);
}

#[test]
fn that_is_not_there_yet_is_told_from_a_run_that_does_not_exist() {
    let (home, server) = (Home::new(), api(usize::MAX));
    let ended = home.run(&server.url, &["runs", "evidence", "wsr_1", "--json", "--output", "evidence.json"]);
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.error()["code"], "evidence_not_ready");
    assert!(ended.error()["message"].as_str().unwrap().contains("`collecting`"));
    assert!(!home.path().join("evidence.json").exists());
    let ended = home.run(&server.url, &["runs", "evidence", "wsr_2", "--json"]);
    assert_eq!(ended.error()["code"], "not_found");
}

#[test]
fn can_be_waited_for() {
    let (home, server) = (Home::new(), api(2));
    let ended = home.run(&server.url, &["runs", "evidence", "wsr_1", "--wait"]).success();
    assert_eq!(ended.lines(), [json!({"data": bundle()})]);
}
