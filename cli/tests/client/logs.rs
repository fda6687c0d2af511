//! `logs`: stored events by pages, live ones by the stream.

use serde_json::{Value, json};

use crate::command::Home;
use crate::run_api::{self, after_seq, frame, is_stream, output, run, terminal};
use crate::server::{Reply, Request, Server};

fn page(events: &[Value], request: &Request, len: usize) -> Reply {
    let after = after_seq(request);
    let rest: Vec<_> = events.iter().filter(|event| event["seq"].as_u64() > Some(after)).collect();
    Reply::Json(200, json!({"data": rest[..rest.len().min(len)], "hasMore": rest.len() > len}))
}

fn ended_run(events: Vec<Value>) -> Server {
    Server::start(move |request, _| match request.route().as_str() {
        "GET /v1/workspace-runs/wsr_1" => Reply::Json(200, json!({"workspaceRun": run("succeeded")})),
        _ if is_stream(request) => Reply::Hangup,
        _ => page(&events, request, 2),
    })
}

#[test]
fn an_ended_run_is_replayed_from_its_pages() {
    let mut events: Vec<_> = (1..=4).map(|seq| output(seq, "stdout", &format!("{seq};"))).collect();
    events[1]["type"] = "stderr".into();
    events.push(terminal(5, run("failed"), &json!({"exitCode": 3})));
    let server = ended_run(events.clone());
    let home = Home::new();
    let ended = home.run(&server.url, &["runs", "logs", "wsr_1"]).success();
    assert_eq!((ended.out().as_str(), ended.err().as_str()), ("1;3;4;", "2;"));
    let ended = home.run(&server.url, &["runs", "logs", "wsr_1", "--after-seq", "3", "--json"]).success();
    assert_eq!(ended.lines(), [json!({"data": events[3]}), json!({"data": events[4]})]);
    // Behind the last event there is nothing to wait for.
    let ended = home.run(&server.url, &["runs", "logs", "wsr_1", "--after-seq", "5"]).success();
    assert_eq!(ended.out(), "");
    assert!(!server.requests().iter().any(is_stream));
}

#[test]
fn a_live_run_is_followed_from_where_its_pages_end() {
    let stored = vec![output(1, "stdout", "a"), output(2, "stdout", "b")];
    let server = run_api::start(move |request, _| {
        if !is_stream(request) {
            return page(&stored, request, 500);
        }
        assert_eq!(after_seq(request), 2);
        let last = terminal(4, run("succeeded"), &json!({"exitCode": 0}));
        Reply::Stream(vec![frame(&output(3, "stdout", "c")), frame(&last)], true)
    });
    let home = Home::new();
    assert_eq!(home.run(&server.url, &["runs", "logs", "wsr_1"]).success().out(), "abc");
    assert_eq!(home.run(&server.url, &["runs", "logs", "wsr_1", "--no-follow"]).success().out(), "ab");
}
