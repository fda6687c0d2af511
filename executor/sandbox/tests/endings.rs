//! Ends of runs, and the report about each: codes, signals, limits, output to the last byte.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]
mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use sandbox::{EngineConfig, Exit, Limits, Network, Root, SandboxError, SandboxHost, SandboxSpec};
use support::{DEADLINE, Machine, collect, config};
use tokio::io::{AsyncBufReadExt as _, BufReader};

#[tokio::test]
async fn exit_codes_are_what_wait_returned() {
    let machine = Machine::open().await;
    for (command, expected) in [
        ("true", 0),
        ("false", 1),
        ("exit 42", 42),
        ("exit 255", 255),
        ("no-such-program", 127),
        ("kill -SEGV $$", 139),
        // 125 is our helper's code for its own failures, 1 is bubblewrap's.
        ("exit 125", 125),
    ] {
        let run = machine.run(command).await;
        assert_eq!(run.exit, Exit { exit_code: Some(expected), signal: None }, "{command}");
    }
}

#[tokio::test]
async fn output_is_exact_to_the_byte() {
    let machine = Machine::open().await;
    let run = machine
        .run(
            "i=0; while [ $i -lt 300 ]; do printf 'o\\000\\377%d\\n' $i; printf 'e\\r%d' $i >&2; i=$((i+1)); done; \
              head -c 3000000 /dev/zero; printf end >&2",
        )
        .await;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    for i in 0..300 {
        out.extend_from_slice(b"o\0\xff");
        out.extend_from_slice(format!("{i}\n").as_bytes());
        err.extend_from_slice(format!("e\r{i}").as_bytes());
    }
    out.resize(out.len() + 3_000_000, 0);
    err.extend_from_slice(b"end");
    assert!(run.stdout == out && run.stderr == err);
}

#[tokio::test]
async fn commands_may_be_long_and_full_of_any_bytes() {
    let machine = Machine::open().await;
    let comment = "é'\"\\$`\u{1}--bind / / ".repeat(4000);
    let command = format!("# {comment}\necho done");
    assert!(command.len() > 64 * 1024);
    assert_eq!(machine.run(&command).await.out(), "done");
    assert_eq!(machine.run("--version").await.code(), Some(2), "the shell, not bubblewrap, is to see it");
}

#[tokio::test]
async fn background_processes_neither_survive_nor_hold_the_run() {
    let machine = Machine::open().await;
    let started = Instant::now();
    let run = machine.run("setsid sh -c 'trap \"\" TERM; sleep 1000' & echo started").await;
    assert_eq!((run.code(), run.out()), (Some(0), "started".into()));
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn termination_can_be_answered_and_killing_cannot() {
    let machine = Machine::open().await;
    let polite = "trap 'echo stopped; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
    let mut sandbox = started(&machine, polite).await;
    assert!(sandbox.0.terminate().unwrap() >= 1);
    assert_eq!(wait(&mut sandbox.0).await, Exit { exit_code: Some(3), signal: None });
    assert_eq!(sandbox.1.next_line().await.unwrap().as_deref(), Some("stopped"));
    assert!(sandbox.0.finish().await.cleanup.is_ok());

    let deaf = "trap '' TERM; echo ready; while :; do sleep 0.05; done";
    let mut sandbox = started(&machine, deaf).await;
    sandbox.0.terminate().unwrap();
    let grace = tokio::time::timeout(Duration::from_millis(300), sandbox.0.wait()).await;
    assert!(grace.is_err(), "it ignores SIGTERM");
    sandbox.0.kill().unwrap();
    assert_eq!(wait(&mut sandbox.0).await, Exit { exit_code: None, signal: Some(9) });
    assert!(sandbox.0.finish().await.cleanup.is_ok());
}

type Lines = tokio::io::Lines<BufReader<tokio::net::unix::pipe::Receiver>>;

/// A sandbox whose command has said `ready`.
async fn started(machine: &Machine, command: &str) -> (sandbox::Sandbox, Lines) {
    let mut sandbox = machine.start(command).await;
    let mut lines = BufReader::new(sandbox.take_stdout().unwrap()).lines();
    let line = tokio::time::timeout(DEADLINE, lines.next_line()).await.unwrap().unwrap();
    assert_eq!(line.as_deref(), Some("ready"));
    (sandbox, lines)
}

async fn wait(sandbox: &mut sandbox::Sandbox) -> Exit {
    tokio::time::timeout(DEADLINE, sandbox.wait()).await.expect("the run hangs").unwrap()
}

#[tokio::test]
async fn memory_limit_is_reported_as_such() {
    let machine = Machine::open().await;
    let limits = Limits { memory_bytes: 64 << 20, ..Limits::default() };
    let run =
        machine.run_with("head -c 300000000 /dev/zero | tail -c 300000000 >/dev/null; echo after", &[], limits).await;
    assert!(run.finished.oom_killed);
    assert_eq!(run.out(), "after", "only the hungry process is killed");
    let peak = run.finished.usage.memory_peak_bytes.unwrap();
    assert!(peak <= 64 << 20 && peak > 48 << 20, "{peak}");
    assert!(!machine.run("true").await.finished.oom_killed);
}

#[tokio::test]
async fn process_limit_stops_a_fork_bomb() {
    let machine = Machine::open().await;
    let limits = Limits { pids: 16, ..Limits::default() };
    let run = machine.run_with("for i in $(seq 100); do sleep 100 & done; echo survived", &[], limits).await;
    assert!(run.err().contains("fork") || run.err().contains("Cannot"), "{}", run.err());
    assert_eq!(run.finished.usage.pids_peak, Some(16));
}

#[tokio::test]
async fn processor_limit_and_accounting() {
    let machine = Machine::open().await;
    let limits = Limits { cpu_millis: 250, ..Limits::default() };
    let started = Instant::now();
    let run = machine.run_with("timeout 1 sh -c 'while :; do :; done'", &[], limits).await;
    assert_eq!(run.code(), Some(124));
    let used = run.finished.usage.cpu_user_ms.unwrap() + run.finished.usage.cpu_system_ms.unwrap();
    let wall = u64::try_from(started.elapsed().as_millis()).unwrap();
    assert!(used > 50 && used < wall / 2, "{used} ms of {wall} ms");
}

#[tokio::test]
async fn a_sandbox_that_cannot_be_is_not_an_exit_code() {
    let machine = Machine::open().await;
    let spec = |slot, lower, root| SandboxSpec {
        label: "broken",
        slot,
        lower,
        root,
        command: "true".as_ref(),
        env: &[],
        limits: Limits::default(),
        network: Network::Nothing,
    };
    let missing = Path::new("/nonexistent");
    let error = machine.host.start(spec(50, missing, Root::Host)).await.unwrap_err();
    assert!(error.is_unavailable());
    assert!(error.to_string().contains("clone the cached tree"), "{error}");

    // This one fails inside bubblewrap: there is nothing to mount on. The label is free again once the first was cleaned up.
    let empty = tempfile::tempdir().unwrap();
    let deadline = Instant::now() + DEADLINE;
    let mut sandbox = loop {
        match machine.host.start(spec(51, &machine.tree, Root::Tree(empty.path()))).await {
            Ok(sandbox) => break sandbox,
            Err(SandboxError::InvalidSpec(_)) if Instant::now() < deadline => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    let error = sandbox.wait().await.unwrap_err();
    assert!(error.is_unavailable());
    assert!(sandbox.finish().await.cleanup.is_ok());

    let folder = tempfile::tempdir().unwrap();
    let mut without = config(folder.path());
    without.engine = EngineConfig::Bubblewrap { program: "/nonexistent/bwrap".into() };
    let error = SandboxHost::open(without.clone()).await.unwrap_err();
    assert!(error.to_string().contains("apt install bubblewrap"), "{error}");
    without.engine = EngineConfig::Oci { runtime: "no-such-runc".into(), arguments: Vec::new() };
    let error = SandboxHost::open(without).await.unwrap_err();
    assert!(error.to_string().contains("no-such-runc is not installed"), "{error}");
    let mut broken = config(folder.path());
    broken.engine = EngineConfig::Bubblewrap { program: "/usr/bin/false".into() };
    assert!(SandboxHost::open(broken).await.unwrap_err().is_unavailable());
    let another = tempfile::tempdir().unwrap();
    let mut broken = config(another.path());
    broken.engine = EngineConfig::Oci { runtime: "/usr/bin/false".into(), arguments: Vec::new() };
    let error = SandboxHost::open(broken).await.unwrap_err();
    assert!(error.to_string().contains("the runtime failed"), "{error}");
}

/// The suite in `conformance` has the rest.
#[tokio::test]
async fn an_oci_runtime_is_told_what_the_operator_wants() {
    for (arguments, works) in [(vec!["--debug".to_owned()], true), (vec!["--no-such-flag".to_owned()], false)] {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path());
        config.engine = EngineConfig::Oci { runtime: "runc".into(), arguments };
        let opened = SandboxHost::open(config).await;
        assert_eq!(opened.is_ok(), works, "{opened:?}");
    }
}

#[tokio::test]
async fn what_stands_for_itself_is_refused() {
    let machine = Machine::open().await;
    let good = SandboxSpec {
        label: "x",
        slot: 60,
        lower: &machine.tree,
        root: Root::Host,
        command: "sleep 100".as_ref(),
        env: &[],
        limits: Limits::default(),
        network: Network::Nothing,
    };
    let nul = [("A".into(), "b\0--bind\0/\0/".into())];
    for bad in [
        SandboxSpec { label: "../x", ..good },
        SandboxSpec { label: "", ..good },
        SandboxSpec { command: "a\0b".as_ref(), ..good },
        SandboxSpec { env: &nul, ..good },
    ] {
        assert!(matches!(machine.host.start(bad).await, Err(SandboxError::InvalidSpec(_))));
    }
    let sandbox = machine.host.start(good).await.unwrap();
    let second = machine.host.start(SandboxSpec { label: "y", ..good }).await;
    assert!(matches!(second, Err(SandboxError::SlotBusy { slot: 60 })));
    assert!(sandbox.finish().await.cleanup.is_ok());
    let again = SandboxSpec { command: "echo again".as_ref(), ..good };
    assert_eq!(collect(machine.host.start(again).await.unwrap()).await.out(), "again");
}
