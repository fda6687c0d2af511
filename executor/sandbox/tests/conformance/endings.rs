//! Ends of runs, reported as they were and never made up.
use std::time::Duration;

use sandbox::{Exit, Limits, Sandbox, SandboxError};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use crate::case::{Case, Expect, Try, check};
use crate::engine::{Engine, on_each_engine};
use crate::support::{DEADLINE, Machine, collect};

use Expect::{Both, Exits, Says};
use Try::{Python, Shell};

#[rustfmt::skip]
pub(crate) const CASES: &[Case] = &[
    Case { name: "success", mechanism: "wait(2)", command: Shell("true"), expect: Exits(0), differs: &[] },
    Case { name: "failure", mechanism: "wait(2)", command: Shell("exit 42"), expect: Exits(42), differs: &[] },
    Case { name: "the largest code", mechanism: "wait(2)", command: Shell("exit 255"), expect: Exits(255), differs: &[] },
    Case { name: "the helper's own code", mechanism: "our 125 is not the command's", command: Shell("exit 125"), expect: Exits(125), differs: &[] },
    Case { name: "the runtime's own code", mechanism: "runsc's 128 is not the command's", command: Shell("exit 128"), expect: Exits(128), differs: &[] },
    Case { name: "the runtime's other code", mechanism: "runc's 1 is not the command's", command: Shell("exit 1"), expect: Exits(1), differs: &[] },
    Case { name: "a program that is not there", mechanism: "execve(2)", command: Shell("no-such-program"), expect: Exits(127), differs: &[] },
    Case { name: "a program that cannot be executed", mechanism: "execve(2)", command: Shell("./hello.txt"), expect: Exits(126), differs: &[] },
    Case { name: "a signal", mechanism: "WTERMSIG", command: Shell("kill -SEGV $$"), expect: Exits(139), differs: &[] },
    Case { name: "a signal to the executed program", mechanism: "WTERMSIG; pid 1 ignores signals", command: Shell("exec python3 -c 'import os; os.kill(os.getpid(), 15)'"), expect: Exits(143), differs: &[] },
    Case { name: "an abort", mechanism: "WTERMSIG", command: Python("os.abort()"), expect: Exits(134), differs: &[] },
    Case { name: "output without an end of line", mechanism: "pipe(7)", command: Shell("printf x"), expect: Says("x"), differs: &[] },
    Case { name: "closed output", mechanism: "close(2)", command: Shell("exec >&- 2>&-; exit 4"), expect: Both("", 4), differs: &[] },
    Case { name: "a child that is left behind", mechanism: "pid namespace", command: Shell("sleep 1000 & echo started"), expect: Says("started"), differs: &[] },
    Case { name: "a daemon", mechanism: "double fork, setsid(2)",
        command: Python("\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGHUP, signal.SIG_IGN); signal.pause()\n    os._exit(0)\nos.wait(); print('started')"), expect: Says("started"), differs: &[] },
    Case { name: "a stopped child", mechanism: "SIGSTOP", command: Shell("sleep 1000 & kill -STOP $!; echo stopped"), expect: Says("stopped"), differs: &[] },
    Case { name: "many arguments", mechanism: "ARG_MAX", command: Shell("set -- $(seq 20000); echo $#; /bin/echo \"$@\" | wc -w"), expect: Says("20000\n20000"), differs: &[] },
];

async fn what_is_told(engine: Engine) {
    check(engine, CASES, Limits::default()).await;
}

async fn output_is_exact_to_the_byte(engine: Engine) {
    let machine = engine.open().await;
    let command = "head -c 20000000 /dev/zero; printf 'o\\000\\377\\r\\n'; printf 'e\\000\\377' >&2";
    let run = collect(machine.start(command).await).await;
    assert_eq!((run.code(), run.stdout.len(), &run.stderr[..]), (Some(0), 20_000_005, &b"e\0\xff"[..]));
    assert!(run.stdout.ends_with(b"\0o\0\xff\r\n"));
}

async fn commands_and_variables_may_be_long(engine: Engine) {
    let machine = engine.open().await;
    let command = format!("# {}\necho ${{#LONG}} \"$ODD\"", "é'\"\\$`\u{1}--bind / / ".repeat(4000));
    let env = [("LONG".into(), "x".repeat(100_000).into()), ("ODD".into(), "two\nlines '\" $x {} \\".into())];
    let run = collect(machine.start_with(&command, &env, Limits::default()).await).await;
    assert_eq!(run.out(), "100000 two\nlines '\" $x {} \\", "{}", run.err());
    // A NUL would be another argument, another line of a request.
    let nul = [("A".into(), "b\0--bind\0/\0/".into())];
    let refused = machine.host.start(machine.spec("nul", 90, "true", &nul)).await;
    assert!(matches!(refused, Err(SandboxError::InvalidSpec(_))), "{refused:?}");
}

async fn termination_can_be_answered_and_killing_cannot(engine: Engine) {
    let machine = engine.open().await;
    let polite = "trap 'echo stopped; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
    let mut sandbox = ready(&machine, polite).await;
    assert!(sandbox.terminate().expect("signals are sent") >= 1);
    assert_eq!(wait(&mut sandbox).await, Exit { exit_code: Some(3), signal: None });
    assert!(sandbox.finish().await.cleanup.is_ok());

    // Not executed by a shell that waits: what would be pid 1, and deaf to it, in other sandboxes.
    let mut sandbox = ready(&machine, "echo ready; exec sleep 1000").await;
    sandbox.terminate().expect("signals are sent");
    assert_eq!(wait(&mut sandbox).await, Exit { exit_code: Some(143), signal: None });
    assert!(sandbox.finish().await.cleanup.is_ok());

    for deaf in [
        "trap '' TERM; echo ready; while :; do sleep 0.05; done",
        "sleep 1000 & kill -STOP $!; trap '' TERM; echo ready; kill -STOP $$; wait",
    ] {
        let mut sandbox = ready(&machine, deaf).await;
        sandbox.terminate().expect("signals are sent");
        let grace = tokio::time::timeout(Duration::from_millis(300), sandbox.wait()).await;
        assert!(grace.is_err(), "it ignores SIGTERM");
        sandbox.kill().expect("signals are sent");
        assert_eq!(wait(&mut sandbox).await, Exit { exit_code: None, signal: Some(9) });
        assert!(sandbox.finish().await.cleanup.is_ok());
    }
}

async fn ready(machine: &Machine, command: &str) -> Sandbox {
    let mut sandbox = machine.start(command).await;
    let mut stdout = BufReader::new(sandbox.take_stdout().expect("not taken yet"));
    let mut line = String::new();
    let read = tokio::time::timeout(DEADLINE, stdout.read_line(&mut line)).await.expect("the command hangs");
    assert_eq!((read.is_ok(), line.as_str()), (true, "ready\n"));
    // Read on, or the command may be stopped by a full pipe or a closed one.
    tokio::spawn(async move { stdout.read_to_end(&mut Vec::new()).await });
    sandbox
}

async fn wait(sandbox: &mut Sandbox) -> Exit {
    tokio::time::timeout(DEADLINE, sandbox.wait()).await.expect("the run hangs").expect("an exit")
}

/// A root file system without a shell, and one whose shell is not a program.
async fn an_engine_that_fails_is_not_an_exit_code(engine: Engine) {
    let mut machine = engine.open().await;
    let root = machine.folder.path().join("broken");
    for mount_point in ["bin", "dev", "home/runner", "proc", "tmp", "workspace"] {
        std::fs::create_dir_all(root.join(mount_point)).expect("a folder");
    }
    machine.root = Some(root.clone());
    for shell in [None, Some("not a program")] {
        if let Some(content) = shell {
            std::fs::write(root.join("bin/sh"), content).expect("a file");
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(root.join("bin/sh"), mode).expect("a mode");
        }
        let mut sandbox = machine.start("exit 0").await;
        let exit = tokio::time::timeout(DEADLINE, sandbox.wait()).await.expect("the run hangs");
        assert!(sandbox.finish().await.cleanup.is_ok());
        assert!(matches!(exit, Err(SandboxError::Unavailable { .. })), "{shell:?}: {exit:?}");
    }
}

on_each_engine!(
    what_is_told,
    output_is_exact_to_the_byte,
    commands_and_variables_may_be_long,
    termination_can_be_answered_and_killing_cannot,
    an_engine_that_fails_is_not_an_exit_code,
);
