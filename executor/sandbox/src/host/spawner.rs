//! Starts helpers, by asking a fork server: the program `crownest-sandbox`, started once, small and with one thread,
//! whose forks cost a fraction of starting it anew. Its forks are children of *this* process (`CLONE_PARENT`), which
//! therefore sees for itself how they end.
//!
//! A helper asks the kernel to be killed when its parent dies (`PR_SET_PDEATHSIG`), and for the kernel the parent is
//! the *thread* that started the fork server: a tokio worker may end long before the process does. With a thread of
//! our own, "parent died" means exactly "the executor is gone".
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Instant;
use std::{io, thread};

use super::error::{SandboxError, Step as _};
use crate::kernel::process::Process;
use crate::protocol::control::{self, Message};
use crate::protocol::task::Task;

const STEP: &str = "start the helper";

type Started = io::Result<OwnedFd>;

/// Dropping it ends the thread, and with it the fork server and every helper that still runs.
#[derive(Debug)]
pub(super) struct Spawner {
    starter: mpsc::Sender<mpsc::Sender<Started>>,
    /// Our end of the fork server's socket; one request at a time. `None` before the first and after a failure.
    server: Mutex<Option<OwnedFd>>,
}

impl Spawner {
    /// Starts the thread. Helpers will see the mounts of the host that lead to `needed` and to what they always need.
    pub(super) fn start(helper: PathBuf, needed: Vec<PathBuf>) -> io::Result<Self> {
        let (starter, requests) = mpsc::channel::<mpsc::Sender<Started>>();
        thread::Builder::new().name("sandbox-spawner".into()).spawn(move || {
            let mut server: Option<Child> = None;
            for answer in requests {
                if let Some(former) = server.as_mut() {
                    // Its socket is closed: it ends by itself, unless something is very wrong with it.
                    let _ = former.kill();
                    let _ = former.wait();
                }
                let started = start_server(&helper, &needed);
                let _ = answer.send(started.map(|(child, socket)| {
                    server = Some(child);
                    socket
                }));
            }
        })?;
        Ok(Self { starter, server: Mutex::new(None) })
    }

    /// Starts a helper with these descriptors: its control socket, then standard output and error (or neither).
    /// Blocking.
    pub(super) fn spawn(&self, task: Task, fds: &[BorrowedFd<'_>], deadline: Instant) -> Result<Process, SandboxError> {
        // The data behind the lock is valid after every statement: a panic elsewhere does not spoil it.
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        if server.as_ref().is_some_and(|socket| ask(socket, task, fds).is_err()) {
            tracing::warn!("the fork server for sandboxes is gone; starting another");
            *server = None;
        }
        let socket = match &mut *server {
            Some(socket) => socket,
            none => {
                let socket = none.insert(self.start_server().step(STEP)?);
                ask(socket, task, fds).step(STEP)?;
                socket
            }
        };
        match control::receive_by(socket.as_fd(), deadline) {
            Ok(Some(answer)) => process(answer),
            // There may be a helper that nobody knows. Asking again would put two on one control socket; an error
            // closes that socket, and with it ends the helper.
            lost => {
                *server = None;
                let detail = lost.map_or_else(|error| error.to_string(), |_| "the fork server died".into());
                Err(SandboxError::unavailable(STEP, detail))
            }
        }
    }

    fn start_server(&self) -> io::Result<OwnedFd> {
        let (answer, started) = mpsc::channel();
        let gone = || io::Error::other("the spawner thread is gone");
        self.starter.send(answer).map_err(|_| gone())?;
        started.recv().map_err(|_| gone())?
    }
}

fn start_server(helper: &Path, needed: &[PathBuf]) -> io::Result<(Child, OwnedFd)> {
    let (ours, theirs) = control::pair()?;
    let child = Command::new(helper)
        .arg(std::process::id().to_string())
        .args(needed)
        .env_clear()
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok((child, ours))
}

/// Sends a request. An error means that the server is gone and has not read it.
fn ask(server: &OwnedFd, task: Task, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    control::send(server.as_fd(), task.word().as_bytes(), fds)
}

fn process(mut answer: Message) -> Result<Process, SandboxError> {
    let text = String::from_utf8_lossy(&answer.text);
    match (text.parse(), answer.fds.pop()) {
        (Ok(pid), Some(handle)) => Ok(Process::new(pid, handle)),
        // A refusal of the kernel: too many processes, no memory.
        _ => Err(SandboxError::unavailable(STEP, text)),
    }
}
