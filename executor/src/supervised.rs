//! An executor that another program starts as a process of its own and watches: `crownest up`, if an ordinary user started
//! that, because only the executor enters a user namespace. The two talk by standard input and output: the supervisor
//! writes a line of further arguments, whose secrets no list of processes may show, and is told in a line how the
//! start went. From then on its end of the input means that it lives.
use std::ffi::OsString;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::net::SocketAddr;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use crate::service::Executor;

/// The first argument of an executor with a supervisor.
const FLAG: &str = "--supervised";
/// Time limit of a start, in which the executor removes the leftovers of a killed one and proves that a sandbox works.
const START_DEADLINE: Duration = Duration::from_secs(120);

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Report {
    Started { ops_address: SocketAddr },
    Failed { reason: String },
}

/// The command line of this process; with the supervisor's part, if it has one.
pub fn command_line() -> anyhow::Result<CommandLine> {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let is_supervised = arguments.get(1).is_some_and(|first| first == FLAG);
    if is_supervised {
        arguments.remove(1);
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).context("standard input")?;
        let more: Vec<String> = serde_json::from_str(&line).context("standard input has no arguments")?;
        arguments.extend(more.into_iter().map(OsString::from));
    }
    Ok(CommandLine { arguments, is_supervised })
}

#[derive(Debug)]
pub struct CommandLine {
    pub arguments: Vec<OsString>,
    pub is_supervised: bool,
}

/// Ends this process at once, and by that its sandboxes, when the supervisor is gone.
pub fn end_with_supervisor() -> io::Result<()> {
    std::thread::Builder::new().name("supervisor".into()).spawn(|| {
        let _ = io::stdin().lock().read_to_end(&mut Vec::new());
        std::process::exit(1);
    })?;
    Ok(())
}

/// Tells the supervisor how the start went.
pub fn report(started: &anyhow::Result<Executor>) -> io::Result<()> {
    let report = match started {
        Ok(executor) => Report::Started { ops_address: executor.ops_address() },
        Err(error) => Report::Failed { reason: format!("{error:#}") },
    };
    let mut line = serde_json::to_vec(&report)?;
    line.push(b'\n');
    io::stdout().write_all(&line)
}

/// The supervisor's side. The executor ends at once when this is dropped.
#[derive(Debug)]
pub struct Supervised {
    child: Child,
    ops_address: SocketAddr,
    _alive: ChildStdin,
}

impl Supervised {
    /// `command` is the program with what may be seen of its arguments. Its logs go where this process has its own.
    pub async fn start(program: &std::path::Path, arguments: &[String]) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.arg(FLAG).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        // Keys of a terminal are for the supervisor, which stops things in order.
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot execute {}", program.display()))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (mut stdin, stdout) = stdin.zip(stdout).context("the executor has no standard input and output")?;
        let talk = async {
            let mut line = serde_json::to_vec(arguments)?;
            line.push(b'\n');
            stdin.write_all(&line).await?;
            let mut answer = String::new();
            BufReader::new(stdout).read_line(&mut answer).await?;
            anyhow::Ok(answer)
        };
        let answer = tokio::time::timeout(START_DEADLINE, talk).await.context("the executor does not answer")??;
        match serde_json::from_str(&answer).context("the executor ended without a word to its supervisor")? {
            Report::Started { ops_address } => Ok(Self { child, ops_address, _alive: stdin }),
            Report::Failed { reason } => Err(anyhow::anyhow!(reason)),
        }
    }

    pub fn ops_address(&self) -> SocketAddr {
        self.ops_address
    }

    /// Returns when the process has ended, by itself or because it was asked to.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks it to end, which it does within its drain deadline, and waits for that.
    pub async fn stop(mut self) -> io::Result<ExitStatus> {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid {
            // Not waited for yet: the number is still its own.
            kill_process(pid, Signal::TERM)?;
        }
        self.ended().await
    }
}
