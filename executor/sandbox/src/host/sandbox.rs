//! A running sandbox, from its first process to its complete removal.
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::process::Signal;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::TcpListener;
use tokio::net::unix::pipe::Receiver;
use tokio::task::spawn_blocking;

use super::error::{CleanupError, SandboxError, Step as _};
use super::remains::{Reclaimed, Remains};
use super::status::Status;
use crate::kernel::cgroup::{Cgroup, ResourceUsage};
use crate::kernel::disk::DiskUsage;
use crate::kernel::process::{Ending, Process};
use crate::protocol::control;
use crate::protocol::message::TERMINATE;

/// The end of the command. Both are `None` only if the command's end was not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// The result of `wait` for the command; 128 + n if signal n ended it inside the sandbox, as shells report it.
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
    /// `None` where there is no limit.
    pub disk: Option<DiskUsage>,
    pub cleanup: Result<(), CleanupError>,
}

/// Dropping it without [`finish`](Self::finish) kills and cleans up too, in the background.
#[derive(Debug)]
pub struct Sandbox {
    /// bubblewrap's monitor, or the helper that waits for our pid 1.
    monitor: Arc<Process>,
    /// Readable once the monitor has ended.
    ended: AsyncFd<Arc<OwnedFd>>,
    status: Status,
    stdout: Option<Receiver>,
    stderr: Option<Receiver>,
    target: Target,
    workspace: OwnedFd,
    listener: Option<TcpListener>,
    cgroup: Arc<Cgroup>,
    exit: Option<Exit>,
    remains: Remains,
}

/// The processes of the command among those of the sandbox.
#[derive(Debug)]
pub(super) enum Target {
    /// All processes but these: bubblewrap's monitor and pid 1, which must survive a SIGTERM to report how the command
    /// ended.
    AllBut([i32; 2]),
    /// The processes of this user.
    User(u32),
    /// The processes in a guest, which the helper reaches through the runtime; this socket leads to the helper.
    Guest(OwnedFd),
}

/// The parts of a started sandbox.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) monitor: Arc<Process>,
    pub(super) target: Target,
    pub(super) status: Status,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    pub(super) workspace: OwnedFd,
    /// The listener of the egress proxy, with egress.
    pub(super) listener: Option<OwnedFd>,
    pub(super) cgroup: Arc<Cgroup>,
    pub(super) remains: Remains,
}

impl Sandbox {
    /// Watches a started sandbox. Call this in the context of an async runtime.
    pub(super) fn new(started: Started) -> io::Result<Self> {
        let Started { monitor, target, status, stdout, stderr, workspace, listener, cgroup, remains } = started;
        // SAFETY: the descriptor is open for as long as the `Arc<OwnedFd>` that is handed over here.
        #[expect(unsafe_code, reason = "tokio cannot know that any `AsRawFd` keeps its descriptor open")]
        let ended = unsafe { AsyncFd::register_with_interest(monitor.handle(), Interest::READABLE) }?;
        Ok(Self {
            ended,
            target,
            monitor,
            status,
            stdout: Some(Receiver::from_owned_fd(stdout)?),
            stderr: Some(Receiver::from_owned_fd(stderr)?),
            workspace,
            listener: listener.map(listening).transpose()?,
            cgroup,
            exit: None,
            remains,
        })
    }

    /// The command's output, exact to the byte; ends when the last process that holds it has ended. It must be read
    /// while waiting: a full pipe stops the command.
    pub fn take_stdout(&mut self) -> Option<Receiver> {
        self.stdout.take()
    }

    pub fn take_stderr(&mut self) -> Option<Receiver> {
        self.stderr.take()
    }

    /// The listener for the command's connections to its egress proxy, once; `None` without egress. As long as it or one of
    /// its connections is open, the network namespace stays.
    pub fn take_listener(&mut self) -> Option<TcpListener> {
        self.listener.take()
    }

    /// The root of `/workspace` (an `O_PATH` descriptor), readable also after the command ended.
    pub fn workspace(&self) -> BorrowedFd<'_> {
        self.workspace.as_fd()
    }

    /// Sends SIGTERM to every process of the command; says how many there were (1 if that is not to be seen).
    pub fn terminate(&self) -> io::Result<usize> {
        match &self.target {
            Target::AllBut(own) => self.cgroup.signal(Signal::TERM, |pid| !own.contains(&pid)),
            Target::User(uid) => self.cgroup.signal(Signal::TERM, |pid| user_of(pid) == Some(*uid)),
            Target::Guest(control) => control::send(control.as_fd(), TERMINATE, &[]).map(|()| 1),
        }
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
        self.ended.readable().await.step("wait for the sandbox")?.retain_ready();
        // Rarely is anything left: the kernel kills all of a pid namespace with its pid 1.
        if !self.cgroup.is_empty().step("list what the command left")? {
            let cgroup = Arc::clone(&self.cgroup);
            spawn_blocking(move || cgroup.kill_and_wait())
                .await
                .map_err(io::Error::from)
                .and_then(|killed| killed)
                .step("kill what the command left")?;
        }
        let ending = self.monitor.ending().step("wait for the sandbox")?;
        let exit_code = self.status.exit_code().step("read status")?;
        let exit = match exit(ending, exit_code, self.status.failure()) {
            // A kernel of a guest, or a runtime, that ran out of memory takes the command along.
            Err(_) if !matches!(self.target, Target::AllBut(_)) && self.cgroup.accounting().oom_kills > 0 => {
                Exit { exit_code: None, signal: Some(libc::SIGKILL) }
            }
            exit => exit.inspect_err(|_| self.remains.doubt())?,
        };
        self.exit = Some(exit);
        Ok(exit)
    }

    /// Kills what still runs, reads the kernel's counters and removes every trace of the run.
    pub async fn finish(self) -> Finished {
        let Self { ended, workspace, listener, remains, stdout, stderr, .. } = self;
        drop((ended, workspace, listener, stdout, stderr));
        let reclaimed = spawn_blocking(move || remains.reclaim()).await;
        let Reclaimed { accounting, disk, cleanup } = reclaimed.unwrap_or_else(|panic| {
            let source = io::Error::from(panic);
            Reclaimed { cleanup: Err(CleanupError { step: "clean up", source }), ..Reclaimed::default() }
        });
        Finished { usage: accounting.usage, oom_killed: accounting.oom_kills > 0, disk, cleanup }
    }
}

fn listening(socket: OwnedFd) -> io::Result<TcpListener> {
    let socket = std::net::TcpListener::from(socket);
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket)
}

/// The effective user of a process, which its own files in `/proc` do not always tell.
fn user_of(pid: i32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().nth(1)?.parse().ok())
}

fn exit(ending: Option<Ending>, exit_code: Option<i32>, failure: Option<String>) -> Result<Exit, SandboxError> {
    match (exit_code, ending) {
        // An exit code beside it is that of whatever failed, not the command's.
        (Some(_), _) if failure.is_some() => {
            Err(SandboxError::unavailable("start the command", failure.unwrap_or_default()))
        }
        (Some(_), _) => Ok(Exit { exit_code, signal: None }),
        (None, Some(Ending::Killed(signal))) => Ok(Exit { exit_code: None, signal: Some(signal) }),
        // It only ends by itself, without telling an exit code, when the sandbox could not be set up.
        (None, Some(Ending::Exited(status))) => {
            let failure = failure.unwrap_or_else(|| format!("exit status {status}"));
            Err(SandboxError::unavailable("set up the sandbox", failure))
        }
        (None, None) => Err(SandboxError::unavailable("wait for the sandbox", "it has not ended")),
    }
}
