//! Ctrl-C during `run-archive`.

use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::command::{Ended, Home};
use crate::run_api::{self, frame, output, run, terminal};
use crate::server::{Reply, Server};

const SOON: Duration = Duration::from_secs(20);

/// A run that goes on until it is canceled, and then, if `obeys`, ends.
fn endless(obeys: bool) -> Server {
    let canceled = Arc::new(AtomicBool::new(false));
    Server::start(move |request, _| {
        if request.route() == "POST /v1/workspace-runs/wsr_1/cancel" {
            canceled.store(obeys, Ordering::SeqCst);
        }
        run_api::respond(request).unwrap_or_else(|| {
            let (mut seq, canceled) = (0, canceled.clone());
            Reply::Live(Box::new(move || {
                std::thread::sleep(Duration::from_millis(20));
                seq += 1;
                match (seq, canceled.load(Ordering::SeqCst)) {
                    (1, _) => Some(frame(&output(1, "stdout", "started\n"))),
                    (2, false) => {
                        seq = 1;
                        Some(b": idle\n\n".to_vec())
                    }
                    (2, true) => Some(frame(&terminal(2, run("canceled"), &json!({})))),
                    _ => None,
                }
            }))
        })
    })
}

fn spawn(home: &Home, server: &Server) -> Child {
    home.file("repo.tgz", b"archive");
    let mut command = home.command(&server.url, &["runs", "run-archive", "repo.tgz", "--", "sleep 100"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[track_caller]
fn wait_for(server: &Server, route: &str) {
    let deadline = Instant::now() + SOON;
    while !server.routes().iter().any(|seen| seen == route) {
        assert!(Instant::now() < deadline, "{route} did not come: {:?}", server.routes());
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn interrupt(child: &Child) {
    let status = std::process::Command::new("sh").arg("-c").arg(format!("kill -INT {}", child.id())).status();
    assert!(status.unwrap().success());
}

#[test]
fn the_first_cancels_and_waits_for_the_end() {
    let (home, server) = (Home::new(), endless(true));
    let child = spawn(&home, &server);
    wait_for(&server, "GET /v1/workspace-runs/wsr_1/events");
    interrupt(&child);
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(1), "{}", ended.err());
    assert_eq!(ended.out(), "started\n");
    assert!(ended.err().contains("canceling wsr_1"), "{}", ended.err());
    assert!(ended.err().contains("wsr_1 was canceled"), "{}", ended.err());
}

#[test]
fn before_there_is_a_run_it_just_leaves() {
    let home = Home::new();
    let server = Server::start(|_, _| {
        std::thread::sleep(SOON);
        Reply::Hangup
    });
    let child = spawn(&home, &server);
    wait_for(&server, "POST /v1/workspace-runs");
    interrupt(&child);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
}

#[test]
fn during_the_upload_it_cancels_and_waits_too() {
    let home = Home::new();
    let server = Server::start(|request, _| match request.route().as_str() {
        "PUT /v1/workspace-runs/wsr_1/archive" => {
            std::thread::sleep(SOON);
            Reply::Hangup
        }
        _ => run_api::respond(request)
            .unwrap_or_else(|| Reply::Stream(vec![frame(&terminal(1, run("canceled"), &json!({})))], true)),
    });
    let child = spawn(&home, &server);
    wait_for(&server, "PUT /v1/workspace-runs/wsr_1/archive");
    interrupt(&child);
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(1));
    assert!(ended.err().contains("wsr_1 was canceled"), "{}", ended.err());
    assert!(server.routes().contains(&"POST /v1/workspace-runs/wsr_1/cancel".to_owned()));
}

#[test]
fn the_second_leaves_at_once() {
    let (home, server) = (Home::new(), endless(false));
    let child = spawn(&home, &server);
    wait_for(&server, "GET /v1/workspace-runs/wsr_1/events");
    interrupt(&child);
    wait_for(&server, "POST /v1/workspace-runs/wsr_1/cancel");
    interrupt(&child);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
}
