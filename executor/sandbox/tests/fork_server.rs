//! The program that helpers are forked from: what of the host it can reach, and that losing it loses no run.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]
mod support;

use std::fs;
use std::path::Path;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use support::{DEADLINE, Machine, collect};

/// The process of the helper program that neither waits for a run nor works for one.
fn fork_server() -> Pid {
    let deadline = Instant::now() + DEADLINE;
    loop {
        // More than one while a helper is being prepared, none while it is started again.
        if let [pid] = servers()[..] {
            return Pid::from_raw(pid).unwrap();
        }
        assert!(Instant::now() < deadline, "expected one fork server, found {:?}", servers());
        std::thread::yield_now();
    }
}

fn servers() -> Vec<i32> {
    let executor = std::process::id().to_string();
    let is_ours = |process: &Path| {
        let arguments = fs::read_to_string(process.join("cmdline")).unwrap_or_default();
        let mut arguments = arguments.split('\0');
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
        arguments.next().is_some_and(|program| program.ends_with("/crownest-sandbox"))
            && arguments.next() == Some(&executor)
            && !name.starts_with("sandbox-")
    };
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    processes
        .filter(|process| is_ours(process))
        .map(|process| process.file_name().unwrap().to_str().unwrap().parse().unwrap())
        .collect()
}

#[tokio::test]
async fn losing_it_loses_no_run() {
    let machine = Machine::open().await;
    let running = machine.start("trap 'echo ended; exit 3' TERM; echo ready; while :; do sleep 1; done").await;
    let first = fork_server();
    kill_process(first, Signal::KILL).unwrap();
    let deadline = Instant::now() + DEADLINE;
    while !fs::read_to_string(format!("/proc/{}/status", first.as_raw_nonzero())).unwrap().contains("State:\tZ") {
        assert!(Instant::now() < deadline, "the fork server survives SIGKILL");
        tokio::task::yield_now().await;
    }
    let next = machine.run("echo next").await;
    assert_eq!((next.code(), next.out().as_str()), (Some(0), "next"));
    assert_ne!(fork_server(), first);
    running.terminate().unwrap();
    let ended = collect(running).await;
    assert_eq!((ended.code(), ended.out().ends_with("ended")), (Some(3), true), "{}", ended.out());
}

#[tokio::test]
async fn reaches_no_mount_of_the_host_that_a_sandbox_does_not_need() {
    let machine = Machine::open().await;
    let table = fs::read_to_string(format!("/proc/{}/mountinfo", fork_server().as_raw_nonzero())).unwrap();
    let points: Vec<&str> = table.lines().map(|line| line.split(' ').nth(4).unwrap()).collect();
    for needed in ["/", "/proc"] {
        assert!(points.contains(&needed), "{needed} is missing in {points:?}");
    }
    let work_dir = machine.folder.path();
    for point in points {
        let leads_somewhere = ["/usr", "/proc", "/dev", "/mnt"].iter().any(|path| Path::new(path).starts_with(point));
        assert!(leads_somewhere || point.starts_with("/usr/") || work_dir.starts_with(point), "{point} is not needed");
    }
    let host = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(host.lines().any(|line| line.contains(" /sys")), "the host's own mounts are untouched");
}
