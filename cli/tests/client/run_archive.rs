//! `run-archive`: exact output, exit codes, and streams that break.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::command::{Ended, Home};
use crate::run_api::{self, after_seq, frame, frames, is_stream, output, run, terminal};
use crate::server::{Reply, Server};

fn run_archive(server: &Server, flags: &[&str], command: &[&str]) -> Ended {
    let home = Home::new();
    home.file("repo.tgz", b"archive");
    let args = [&["workspace-runs", "run-archive", "repo.tgz"], flags, &["--"], command].concat();
    home.run(&server.url, &args)
}

fn ending(more: &Value) -> Server {
    let event = terminal(1, run("failed"), more);
    run_api::start(move |_, _| Reply::Stream(vec![frame(&event)], true))
}

#[test]
fn uploads_starts_streams_exactly_and_exits_like_the_run() {
    let events = [
        json!({"seq": 1, "type": "status", "status": "running"}),
        output(2, "stdout", "out é\n"),
        json!({"seq": 3, "type": "stdout", "data": "\u{fffd}", "bytes": "/wA="}),
        output(4, "stderr", "err\u{1b}[0m\r\n"),
        output(5, "stdout", "no newline"),
        terminal(6, run("failed"), &json!({"exitCode": 7, "failureReason": "command_exit"})),
    ];
    // The worst chunks there can be.
    let pieces: Vec<Vec<u8>> = frames(&events).chunks(3).map(<[u8]>::to_vec).collect();
    let server = run_api::start(move |_, _| Reply::Stream(pieces.clone(), true));
    let flags = ["--metadata", "branch=main", "--artifact", "out/a.xml=b.xml", "--timeout-ms", "5000"];
    let ended = run_archive(&server, &flags, &["pytest", "-k", "not slow"]);
    assert_eq!(ended.code, Some(7), "{}", ended.err());
    assert_eq!(ended.stdout, b"out \xc3\xa9\n\xff\0no newline");
    assert_eq!(ended.stderr, b"err\x1b[0m\r\n");

    let requests = server.requests();
    assert_eq!(
        server.routes(),
        [
            "POST /v1/workspace-runs",
            "PUT /v1/workspace-runs/wsr_1/archive",
            "POST /v1/workspace-runs/wsr_1/start",
            "GET /v1/workspace-runs/wsr_1/events",
        ]
    );
    let sha256 = hex::encode(Sha256::digest(b"archive"));
    let expected = json!({
        "archive": {"sha256": sha256, "sizeBytes": 7}, "start": true,
        "command": "pytest -k 'not slow'", "metadata": {"branch": "main"}, "timeoutMs": 5000,
        "artifacts": [{"path": "out/a.xml", "name": "b.xml"}],
    });
    assert_eq!(requests[0].json(), expected);
    let upload = &requests[1];
    assert_eq!(upload.body, b"archive");
    assert_eq!(upload.header("content-type"), Some("application/gzip"));
    assert_eq!(upload.header("x-crownest-archive-size"), Some("7"));
    assert_eq!(upload.header("x-crownest-archive-sha256"), Some(sha256.as_str()));
    assert!(requests.iter().all(|request| request.header("authorization") == Some("Bearer cn_live_0123456789")));
    let keys: Vec<_> = requests.iter().filter_map(|request| request.header("idempotency-key")).collect();
    assert_eq!(keys.len(), 3, "every mutating request has a key");
}

#[test]
fn a_broken_stream_goes_on_without_loss_or_repetition() {
    let event = |seq: u64| match seq {
        30 => terminal(30, run("succeeded"), &json!({"exitCode": 0})),
        seq => output(seq, "stdout", &format!("{seq}\n")),
    };
    let server = run_api::start(move |request, attempt| {
        let after = after_seq(request);
        assert_eq!(request.header("last-event-id"), Some(after.to_string().as_str()));
        match attempt {
            0 => Reply::Hangup,
            1 => Reply::Json(503, json!({"error": {"code": "internal_error", "message": "later"}})),
            // Cut in the middle of a frame.
            2 => {
                let mut bytes = frames(&(1..=9).map(event).collect::<Vec<_>>());
                bytes.truncate(bytes.len() - 20);
                Reply::Stream(vec![bytes], false)
            }
            // A server that starts over, with heartbeats in between.
            3 => {
                let heartbeat = json!({"seq": 12, "type": "heartbeat"});
                let mut events: Vec<_> = (1..=12).map(event).collect();
                events.push(heartbeat);
                Reply::Stream(vec![b": comment\n\n".to_vec(), frames(&events)], false)
            }
            _ => Reply::Stream(vec![frames(&(after + 1..=30).map(event).collect::<Vec<_>>())], true),
        }
    });
    let ended = run_archive(&server, &[], &["seq"]).success();
    let expected: String = (1..30).map(|seq| format!("{seq}\n")).collect::<Vec<_>>().concat();
    assert_eq!(ended.out(), expected);
    assert_eq!(ended.err(), "");
    let starts: Vec<u64> = server.requests().iter().filter(|request| is_stream(request)).map(after_seq).collect();
    assert_eq!(starts, [0, 0, 0, 8, 12]);
}

#[test]
fn what_a_stream_skips_is_fetched_from_the_stored_events() {
    let all = [output(1, "stdout", "a"), output(2, "stdout", "b"), output(3, "stdout", "c")];
    let last = terminal(4, run("succeeded"), &json!({"exitCode": 0}));
    let server = run_api::start(move |request, _| match (is_stream(request), after_seq(request)) {
        (true, 0) => Reply::Stream(vec![frame(&all[0]), frame(&all[2])], true),
        (true, _) => Reply::Stream(vec![frame(&last)], true),
        (false, after) => {
            let rest = &all[usize::try_from(after).unwrap()..];
            Reply::Json(200, json!({"data": rest, "hasMore": false}))
        }
    });
    assert_eq!(run_archive(&server, &[], &["true"]).success().out(), "abc");
}

#[test]
fn with_json_every_event_is_one_line_and_unknown_fields_stay() {
    let events = [
        output(1, "stdout", "x\n"),
        json!({"seq": 2, "type": "from_the_future", "n": 1}),
        terminal(3, run("succeeded"), &json!({"exitCode": 0})),
    ];
    let stream = frames(&events);
    let server = run_api::start(move |_, _| Reply::Stream(vec![stream.clone()], true));
    let ended = run_archive(&server, &["--json"], &["true"]).success();
    let expected: Vec<Value> = events.iter().map(|event| json!({"data": event})).collect();
    assert_eq!(ended.lines(), expected);
    assert_eq!(ended.lines()[2]["data"]["workspaceRun"]["futureField"]["kept"], true);
}

#[test]
fn a_run_without_an_exit_code_is_explained() {
    let check = |more: Value, code: i32, words: &str| {
        let ended = run_archive(&ending(&more), &[], &["true"]);
        assert_eq!(ended.code, Some(code), "{more}");
        assert!(ended.err().contains(words), "{}", ended.err());
    };
    check(json!({"status": "canceled"}), 1, "wsr_1 was canceled");
    check(json!({"failureReason": "timeout", "timeoutMs": 10}), 1, "wsr_1 exceeded its time limit of 10 ms");
    check(json!({"failureReason": "internal_error", "failureClass": "platform"}), 1, "a failure of the platform");
    check(json!({"failureReason": "internal_error", "exitCode": 0}), 1, "internal_error");
}

#[test]
fn no_wait_prints_the_started_run() {
    let server = run_api::start(|_, _| Reply::Hangup);
    let ended = run_archive(&server, &["--no-wait", "--json"], &["true"]).success();
    assert_eq!(ended.lines(), [json!({"data": run("starting")})]);
}

#[test]
fn the_same_key_goes_on_with_a_run_that_was_started_before() {
    let server = run_api::start(|_, _| {
        Reply::Stream(vec![frame(&terminal(1, run("succeeded"), &json!({"exitCode": 0})))], true)
    });
    run_archive(&server, &["--idempotency-key", "build-7"], &["true"]).success();
    // The run is `running` already: nothing is uploaded or started again.
    let routes = ["POST /v1/workspace-runs", "GET /v1/workspace-runs/wsr_1", "GET /v1/workspace-runs/wsr_1/events"];
    assert_eq!(server.routes(), routes);
    assert_eq!(server.requests()[0].header("idempotency-key"), Some("build-7.create"));
}

#[test]
fn a_run_that_cannot_start_is_not_left_behind() {
    let server = Server::start(|request, _| match request.route().as_str() {
        "POST /v1/workspace-runs/wsr_1/start" => {
            Reply::Json(402, json!({"error": {"code": "credit_exhausted", "message": "no credit is left"}}))
        }
        _ => run_api::respond(request).unwrap(),
    });
    let ended = run_archive(&server, &["--json"], &["true"]);
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.error()["code"], "credit_exhausted");
    assert_eq!(ended.error()["message"], "wsr_1: no credit is left");
    assert_eq!(server.routes().last().unwrap(), "POST /v1/workspace-runs/wsr_1/cancel");
}

#[test]
fn a_missing_archive_creates_no_run() {
    let server = run_api::start(|_, _| Reply::Hangup);
    let ended = Home::new().run(&server.url, &["runs", "run-archive", "absent.tgz", "--json", "--", "true"]);
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.error()["code"], "file_error");
    assert!(server.routes().is_empty());
}
