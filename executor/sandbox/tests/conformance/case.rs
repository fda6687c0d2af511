//! Cases that are a command and what it says.
use sandbox::{Exit, Limits};

use crate::engine::Engine;
use crate::support::{Machine, Outcome, collect};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// The CVE or the mechanism of the kernel that it is about.
    pub(crate) mechanism: &'static str,
    pub(crate) command: Try,
    pub(crate) expect: Expect,
    /// Engines on which something else comes of it, and why.
    pub(crate) differs: &'static [(Engine, &'static str, Expect)],
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Try {
    Shell(&'static str),
    /// With `os`, `sys`, `errno`, and `call(number, …)`: a raw system call's error by name, or `ok`. `tried(function)`
    /// does the same for a function.
    Python(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// This standard output (without white space around it), and exit code 0.
    Says(&'static str),
    Exits(i32),
    Both(&'static str, i32),
}

pub(crate) const PRELUDE: &str = "
import ctypes, errno, os, resource, signal, socket, stat, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    return 'ok' if result >= 0 else errno.errorcode[ctypes.get_errno()]
def tried(function):
    try: function()
    except OSError as error: return errno.errorcode[error.errno]
    return 'ok'
";

pub(crate) async fn attempt(machine: &Machine, what: Try, limits: Limits) -> Outcome {
    let (command, script) = match what {
        Try::Shell(command) => (command, String::new()),
        Try::Python(script) => ("exec python3 -c \"$SCRIPT\"", format!("{PRELUDE}{script}")),
    };
    let env = [("SCRIPT".into(), script.into())];
    let env = if matches!(what, Try::Python(_)) { &env[..] } else { &[] };
    collect(machine.start_with(command, env, limits).await).await
}

/// Tries every case, and fails with all that came out wrong.
pub(crate) async fn check(engine: Engine, cases: &[Case], limits: Limits) {
    let machine = engine.open().await;
    let mut wrong = Vec::new();
    for case in cases {
        let on = |wanted| case.differs.iter().find(|(on, _, _)| *on == wanted);
        // Without root, what is bubblewrap's is the same.
        let difference = on(engine).or_else(|| on(Engine::Bubblewrap).filter(|_| engine.is_bubblewrap()));
        let expected = difference.map_or(case.expect, |(_, _, expect)| *expect);
        let run = attempt(&machine, case.command, limits).await;
        let (out, exit) = (run.out(), run.exit);
        let code = |code| exit == Exit { exit_code: Some(code), signal: None };
        let right = match expected {
            Expect::Says(text) => out.trim() == text && code(0),
            Expect::Exits(expected) => code(expected),
            Expect::Both(text, expected) => out.trim() == text && code(expected),
        };
        if !right {
            let because = difference.map_or("as everywhere", |(_, reason, _)| reason);
            wrong.push(format!(
                "{} ({}): expected {expected:?} ({because}), got {out:?} {exit:?}; {}",
                case.name,
                case.mechanism,
                run.err()
            ));
        }
    }
    assert!(wrong.is_empty(), "{engine:?}:\n{}", wrong.join("\n"));
}
