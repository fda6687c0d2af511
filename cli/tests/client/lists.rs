//! Lists: filters, pages, tables.

use serde_json::json;

use crate::command::Home;
use crate::server::{Reply, Server};

#[test]
fn filters_and_pages_reach_the_api() {
    let server = Server::start(|_, _| {
        Reply::Json(200, json!({"data": [{"id": "wsr_1", "new": 1}], "hasMore": true, "nextCursor": "c2"}))
    });
    let args = [
        "runs",
        "list",
        "--status",
        "failed",
        "--project",
        "prj_1",
        "--metadata",
        "branch=a b",
        "--limit",
        "7",
        "--cursor",
        "c1",
        "--json",
    ];
    let ended = Home::new().run(&server.url, &args).success();
    let expected = "/v1/workspace-runs?status=failed&projectId=prj_1&metadata.branch=a+b&limit=7&cursor=c1";
    assert_eq!(server.requests()[0].path, expected);
    assert_eq!(ended.lines(), [json!({"data": [{"id": "wsr_1", "new": 1}], "hasMore": true, "nextCursor": "c2"})]);
}

#[test]
fn all_pages_become_one_list() {
    let server = Server::start(|_, page| {
        let mut answer = json!({"data": [{"id": format!("wsr_{page}")}], "hasMore": page < 2});
        if page < 2 {
            answer["nextCursor"] = format!("c{page}").into();
        }
        Reply::Json(200, answer)
    });
    let ended = Home::new().run(&server.url, &["runs", "list", "--all", "--json"]).success();
    assert_eq!(ended.lines(), [json!({"data": [{"id": "wsr_0"}, {"id": "wsr_1"}, {"id": "wsr_2"}], "hasMore": false})]);
}

#[test]
fn tables_do_not_drive_the_terminal() {
    let server = Server::start(|_, _| {
        let run = json!({"id": "wsr_1", "status": "failed", "exitCode": 2, "command": "echo \u{1b}]0;owned\u{7}\nx",
            "metadata": {"a": "\u{9b}31m"}, "durationMs": 1500});
        Reply::Json(200, json!({"data": [run], "hasMore": false, "workspaceRun": run}))
    });
    let home = Home::new();
    for args in [&["runs", "list"], &["runs", "status", "wsr_1"] as &[&str]] {
        let text = home.run(&server.url, args).success().out();
        assert!(text.contains(r"echo \u{1b}]0;owned\u{7}\nx"), "{text}");
        assert!(text.contains("1.500 s"), "{text}");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    }
}

#[test]
fn usage_is_readable_and_complete_as_json() {
    let usage = json!({
        "period": {"start": "2026-01-01T00:00:00.000Z", "end": "2026-02-01T00:00:00.000Z", "resetAt": "2026-02-01T00:00:00.000Z"},
        "computeUnitSeconds": {"used": 12.5}, "credits": {"used": 0.0125},
        "quotas": {"concurrent_sandboxes": {"limit": 2, "current": 1}}, "later": [1],
    });
    let answer = usage.clone();
    let server = Server::start(move |_, _| Reply::Json(200, answer.clone()));
    let home = Home::new();
    assert_eq!(home.run(&server.url, &["usage", "--json"]).success().lines(), [json!({"data": usage})]);
    let text = home.run(&server.url, &["usage"]).success().out();
    assert!(text.contains("compute unit seconds  12.5\n"), "{text}");
    assert!(text.contains("concurrent_sandboxes  2      1\n"), "{text}");
}
