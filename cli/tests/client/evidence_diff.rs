//! `evidence diff`: from files and from the API, with and without tests.

use std::fs;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::command::Home;
use crate::server::{Reply, Server};

const BEFORE: &str =
    "<testsuite><testcase name='a'/><testcase name='b'/><testcase name='c'><error/></testcase></testsuite>";
const AFTER: &str =
    "<testsuite><testcase name='a'/><testcase name='b'><failure/></testcase><testcase name='c'/></testsuite>";

fn bundle(run: &str, outcome: &str, report: &str) -> Value {
    let sha256 = hex::encode(Sha256::digest(report));
    let artifact = format!("art_{run}");
    json!({
        "schemaVersion": "1.1", "workspaceRunId": format!("wsr_{run}"), "outcome": outcome, "command": "make \u{1b}[2J",
        "exitCode": i32::from(outcome != "success"), "durationMs": if run == "1" { 200 } else { 300 },
        "archive": {"sha256": "ab".repeat(32)}, "resources": {"memoryPeakBytes": 4096}, "timing": {},
        "artifacts": [{"id": artifact, "path": "junit.xml", "sizeBytes": report.len(), "sha256": sha256}],
        "tests": {
            "total": 3, "passed": 2, "failed": i32::from(outcome != "success"), "errors": i32::from(outcome == "success"),
            "skipped": 0, "flaky": 0, "durationMs": 0, "reports": [{"artifactId": artifact, "format": "junit"}],
        },
    })
}

fn api(sent: &'static str) -> Server {
    Server::start(move |request, _| match request.route().as_str() {
        "GET /v1/workspace-runs/wsr_1/evidence" => {
            Reply::Json(200, json!({"evidence": bundle("1", "success", BEFORE)}))
        }
        "GET /v1/workspace-runs/wsr_2/evidence" => Reply::Json(200, json!({"evidence": bundle("2", "failure", AFTER)})),
        "GET /v1/artifacts/art_1/download" => Reply::Bytes(200, Vec::new(), BEFORE.into()),
        "GET /v1/artifacts/art_2/download" => Reply::Bytes(200, Vec::new(), sent.into()),
        _ => Reply::Json(404, json!({"error": {"code": "not_found", "message": "nothing here"}})),
    })
}

#[test]
fn two_runs_are_compared_test_by_test() {
    let (home, server) = (Home::new(), api(AFTER));
    let ended = home.run(&server.url, &["evidence", "diff", "wsr_1", "wsr_2"]);
    assert_eq!(ended.code, Some(3), "{}", ended.err());
    assert_eq!(
        ended.out(),
        "              A                        B                   B/A\n\
         run           wsr_1                    wsr_2\n\
         outcome       success                  failure\n\
         exit code     0                        1\n\
         tests         2 passed, 1 with errors  2 passed, 1 failed\n\
         command (ms)  200                      300                 1.50\n\
         \n\
         same: command, archive\n\
         \n\
         artifacts: 0 equal\n\
         \x20 changed    junit.xml\n\
         \n\
         tests:\n\
         \x20 newly failing  b\n\
         \x20 fixed          c\n"
    );
    let ended = home.run(&server.url, &["evidence", "diff", "wsr_1", "wsr_2", "--json"]);
    let found = ended.lines().remove(0)["data"].clone();
    assert_eq!((ended.code, &found["sameResult"]), (Some(3), &json!(false)));
    assert_eq!(found["tests"]["cases"]["newlyFailing"], json!([{"name": "b", "a": "passed", "b": "failed"}]));
    assert_eq!(found["amounts"][0], json!({"name": "commandMs", "a": 200, "b": 300, "ratio": 1.5}));
    home.run(&server.url, &["evidence", "diff", "wsr_1", "wsr_1"]).success();
}

#[test]
fn reports_that_are_not_the_sealed_ones_are_not_believed() {
    let (home, server) = (Home::new(), api(BEFORE));
    let ended = home.run(&server.url, &["evidence", "diff", "wsr_1", "wsr_2", "--json"]);
    let tests = &ended.lines().remove(0)["data"]["tests"];
    assert_eq!(tests["cases"], Value::Null);
    let reason = tests["casesNotCompared"].as_str().unwrap();
    assert_eq!(reason, "the report art_2 cannot be compared: what the API sent is not what the evidence says");
}

#[test]
fn files_need_no_api() {
    let home = Home::new();
    let write = |name: &str, value: &Value| fs::write(home.path().join(name), value.to_string()).unwrap();
    write("a.json", &bundle("1", "success", BEFORE));
    write("b.json", &json!({"evidence": bundle("2", "success", BEFORE)}));
    write("old.json", &json!({"schemaVersion": "2.0"}));
    let nowhere = "http://127.0.0.1:9";
    let ended = home.run(nowhere, &["evidence", "diff", "a.json", "b.json"]).success();
    assert!(ended.out().contains("not compared one by one: both runs are given as files"), "{}", ended.out());
    for (file, code) in [("old.json", "invalid_evidence"), ("none.json", "file_error")] {
        let ended = home.run(nowhere, &["evidence", "diff", "a.json", file, "--json"]);
        assert_eq!((ended.code, &ended.error()["code"]), (Some(1), &json!(code)));
    }
}
