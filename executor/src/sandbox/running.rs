//! A running sandbox, from its first process to its complete removal.
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::MemfdFlags;
use rustix::process::Signal;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::cgroup::{Cgroup, ResourceUsage};
use super::control::{self, AsyncEnd};
use super::error::{SandboxError, Step as _};
use super::host::Inner;
use super::remains::{CleanupError, Remains};
use super::request::Request;
use super::spawner::Standard;
use super::status::Status;

/// Generous: a start takes about 10 ms, unless the machine is in trouble.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// How much of bubblewrap's own complaint goes into an error.
const COMPLAINT_BYTES: u64 = 4096;

/// How the command ended. Both are `None` only if the command's end was not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// What `wait` returned for the command; 128 + n if signal n ended it inside the sandbox, as shells report it.
    pub exit_code: Option<i32>,
    /// The signal that ended the sandbox as a whole (9 after [`Sandbox::kill`] or if the kernel ran out of memory).
    pub signal: Option<i32>,
}

/// The facts that remain when everything else is gone.
#[derive(Debug)]
pub struct Finished {
    pub usage: ResourceUsage,
    /// The kernel killed something in the sandbox because the memory limit was reached.
    pub oom_killed: bool,
    pub cleanup: Result<(), CleanupError>,
}

/// Dropping it without [`finish`](Self::finish) kills and cleans up too, in the background.
#[derive(Debug)]
pub struct Sandbox {
    child: Child,
    status: Status,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    /// Host pids of bubblewrap's monitor and pid 1, which must survive a SIGTERM to report how the command ended.
    own_pids: [i32; 2],
    workspace: OwnedFd,
    cgroup: Arc<Cgroup>,
    exit: Option<Exit>,
    remains: Remains,
}

impl Sandbox {
    pub(super) async fn start(
        inner: &Inner,
        request: &Request,
        idmap: &OwnedFd,
        arguments: &[u8],
        cgroup: Arc<Cgroup>,
        remains: Remains,
    ) -> Result<Self, SandboxError> {
        let (ours, theirs) = control::pair().step("socket pair")?;
        let control = AsyncEnd::new(ours).step("control socket")?;
        let (mut status, status_writer) = Status::pipe().step("status pipe")?;
        let arguments = memfd(arguments).step("memfd")?;
        control.send(b"run", &[idmap.as_fd(), arguments.as_fd(), status_writer.as_fd()]).step("send descriptors")?;
        drop((arguments, status_writer));
        let mut child = inner.spawner.spawn(request.to_args(), theirs, Standard::Piped).await?;

        let started = timeout(START_DEADLINE, async {
            let workspace = handshake(&control).await?;
            let pid_1 = status.child_pid().await.step("read status")?;
            Ok::<_, SandboxError>((workspace, pid_1))
        });
        let (workspace, pid_1) =
            started.await.map_err(|_| SandboxError::unavailable("start", "no answer from the helper"))??;
        let (Some(pid_1), Some(monitor)) = (pid_1, child.id().and_then(|id| i32::try_from(id).ok())) else {
            return Err(complaint(&mut child).await);
        };
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let own_pids = [monitor, pid_1];
        Ok(Self { child, status, stdout, stderr, own_pids, workspace, cgroup, exit: None, remains })
    }

    /// The command's output, exact to the byte; ends when the last process that holds it has ended. It must be read
    /// while waiting: a full pipe stops the command.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.stdout.take()
    }

    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.stderr.take()
    }

    /// The root of `/workspace` (an `O_PATH` descriptor), readable also after the command ended.
    pub fn workspace(&self) -> BorrowedFd<'_> {
        self.workspace.as_fd()
    }

    /// Sends SIGTERM to every process of the command; says how many there were.
    pub fn terminate(&self) -> io::Result<usize> {
        self.cgroup.signal(Signal::TERM, &self.own_pids)
    }

    /// Sends SIGKILL to everything in the sandbox. [`wait`](Self::wait) returns when it is gone.
    pub fn kill(&self) -> io::Result<()> {
        self.cgroup.kill()
    }

    /// Returns when the command has ended *and* everything it left running is killed. Cancel safe, repeatable.
    ///
    /// # Errors
    /// [`SandboxError::Unavailable`] if the sandbox itself failed, so that the command never ran.
    pub async fn wait(&mut self) -> Result<Exit, SandboxError> {
        if let Some(exit) = self.exit {
            return Ok(exit);
        }
        let status = self.child.wait().await.step("wait for bubblewrap")?;
        let cgroup = Arc::clone(&self.cgroup);
        spawn_blocking(move || cgroup.kill_and_wait())
            .await
            .map_err(io::Error::from)
            .and_then(|killed| killed)
            .step("kill what the command left")?;
        let exit = exit(status, self.status.exit_code().step("read status")?)?;
        self.exit = Some(exit);
        Ok(exit)
    }

    /// Kills what still runs, reads the kernel's counters and removes every trace of the run.
    pub async fn finish(self) -> Finished {
        let Self { mut child, workspace, remains, stdout, stderr, cgroup, .. } = self;
        drop((workspace, stdout, stderr));
        let _ = cgroup.kill();
        let reclaimed = spawn_blocking(move || remains.reclaim()).await;
        // Dead by now: this only collects it.
        let _ = timeout(START_DEADLINE, child.wait()).await;
        let (accounting, cleanup) = reclaimed.unwrap_or_else(|panic| {
            let source = io::Error::from(panic);
            (super::cgroup::Accounting::default(), Err(CleanupError { step: "clean up", source }))
        });
        Finished { usage: accounting.usage, oom_killed: accounting.oom_kills > 0, cleanup }
    }
}

/// Two messages at most: the workspace, then either a failure to execute bubblewrap, or the end of the stream
/// because executing it closed the helper's socket.
async fn handshake(control: &AsyncEnd) -> Result<OwnedFd, SandboxError> {
    const STEP: &str = "set up the sandbox";
    let died = || SandboxError::unavailable(STEP, "the helper died");
    let failure = |text: &[u8]| SandboxError::unavailable(STEP, String::from_utf8_lossy(text));
    let mut message = control.receive().await.step(STEP)?.ok_or_else(died)?;
    let workspace = message.fds.pop().ok_or_else(|| failure(&message.text))?;
    match control.receive().await.step(STEP)? {
        None => Ok(workspace),
        Some(message) => Err(failure(&message.text)),
    }
}

/// bubblewrap ended before there was a sandbox: nobody but itself has written to standard error.
async fn complaint(child: &mut Child) -> SandboxError {
    let mut text = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        let _ = timeout(START_DEADLINE, stderr.take(COMPLAINT_BYTES).read_to_end(&mut text)).await;
    }
    SandboxError::unavailable("start bubblewrap", String::from_utf8_lossy(&text).trim())
}

fn exit(status: ExitStatus, exit_code: Option<i32>) -> Result<Exit, SandboxError> {
    match (exit_code, status.signal()) {
        (Some(_), _) => Ok(Exit { exit_code, signal: None }),
        (None, Some(signal)) => Ok(Exit { exit_code: None, signal: Some(signal) }),
        // It only ends by itself, without telling an exit code, when the sandbox could not be set up.
        (None, None) => Err(SandboxError::unavailable("set up the sandbox", format!("bubblewrap: {status}"))),
    }
}

/// Written at its start without moving the offset, so that bubblewrap reads it from there.
fn memfd(content: &[u8]) -> io::Result<OwnedFd> {
    let file = rustix::fs::memfd_create("crownest-arguments", MemfdFlags::CLOEXEC)?;
    let mut offset = 0;
    while let Some(rest) = content.get(offset..).filter(|rest| !rest.is_empty()) {
        offset += rustix::io::pwrite(&file, rest, offset as u64)?;
    }
    Ok(file)
}
