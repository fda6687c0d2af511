//! Helpers that wait for a run, in control groups of their own. Moving a process into a group makes the kernel wait for
//! every processor (an RCU grace period, some 10 ms on an idle machine): that is over before a run comes.
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::pipe::PipeFlags;

use super::error::{SandboxError, Step as _};
use super::spawner::Spawner;
use crate::kernel::cgroup::{Cgroup, Hierarchy};
use crate::kernel::process::Process;
use crate::protocol::control;
use crate::protocol::message::READY;
use crate::protocol::task::Task;

/// Time limit for preparing a helper.
const DEADLINE: Duration = Duration::from_secs(30);

/// A helper that has nothing to do yet.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) helper: Process,
    /// Our end.
    pub(super) control: OwnedFd,
    /// Reading ends, which do not block.
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    /// Without limits.
    pub(super) cgroup: Cgroup,
}

impl Ready {
    fn prepare(spawner: &Spawner, hierarchy: &Hierarchy) -> Result<Self, SandboxError> {
        let (control, theirs) = control::pair().step("socket pair")?;
        let (stdout, stdout_writer) = pipe().step("output pipe")?;
        let (stderr, stderr_writer) = pipe().step("output pipe")?;
        let cgroup = hierarchy.create().step("create control group")?;
        let given = [theirs.as_fd(), stdout_writer.as_fd(), stderr_writer.as_fd()];
        let helper = spawner.spawn(Task::Run, &given, Instant::now() + DEADLINE);
        let helper = helper.inspect_err(|_| drop(cgroup.remove()))?;
        drop(theirs);
        let ready = Self { helper, control, stdout, stderr, cgroup };
        match ready.settle() {
            Ok(()) => Ok(ready),
            Err(error) => {
                ready.discard();
                Err(error)
            }
        }
    }

    fn settle(&self) -> Result<(), SandboxError> {
        let said = control::receive_by(self.control.as_fd(), Instant::now() + DEADLINE);
        let failure = match said {
            Ok(Some(message)) if message.text == READY => None,
            Ok(Some(message)) => Some(String::from_utf8_lossy(&message.text).into_owned()),
            Ok(None) => Some("it died".to_owned()),
            Err(error) => Some(error.to_string()),
        };
        match failure {
            Some(failure) => Err(SandboxError::unavailable("prepare a helper", failure)),
            None => self.cgroup.join(self.helper.pid()).step("join the control group"),
        }
    }

    fn is_alive(&self) -> bool {
        matches!(self.helper.ending(), Ok(None))
    }

    fn discard(self) {
        let ended = self.helper.kill().and_then(|()| self.cgroup.kill_and_wait()).and_then(|()| self.cgroup.remove());
        if let Err(error) = ended {
            tracing::warn!(%error, "cannot remove a helper that waited for a run");
        }
    }
}

/// Waiting helpers and running sandboxes together are as many as sandboxes ever ran at the same time: a run takes one,
/// and one is prepared when it has ended.
#[derive(Debug)]
pub(super) struct ReadyPool {
    shared: Arc<Shared>,
    /// `None` once closed.
    work: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

#[derive(Debug)]
struct Shared {
    spawner: Arc<Spawner>,
    hierarchy: Hierarchy,
    waiting: Mutex<Vec<Ready>>,
}

impl ReadyPool {
    pub(super) fn open(spawner: Arc<Spawner>, hierarchy: Hierarchy) -> io::Result<Self> {
        let shared = Arc::new(Shared { spawner, hierarchy, waiting: Mutex::default() });
        let (sender, wanted) = mpsc::channel::<()>();
        let preparing = Arc::clone(&shared);
        let thread = thread::Builder::new().name("sandbox-ready".into()).spawn(move || {
            for () in wanted {
                match Ready::prepare(&preparing.spawner, &preparing.hierarchy) {
                    Ok(ready) => preparing.waiting().push(ready),
                    // The run that misses it tries again, and reports.
                    Err(error) => tracing::warn!(%error, "cannot prepare a helper for the next run"),
                }
            }
        })?;
        Ok(Self { shared, work: Some((sender, thread)) })
    }

    /// Takes a helper that waited, or prepares a new one. Blocking.
    pub(super) fn take(&self) -> Result<Ready, SandboxError> {
        loop {
            let waiting = self.shared.waiting().pop();
            match waiting {
                Some(ready) if ready.is_alive() => return Ok(ready),
                Some(dead) => dead.discard(),
                None => return Ready::prepare(&self.shared.spawner, &self.shared.hierarchy),
            }
        }
    }

    /// Has a helper prepared to replace one that was taken.
    pub(super) fn refill(&self) {
        if let Some((wanted, _)) = &self.work {
            // An error means that the thread panicked: runs then prepare for themselves.
            let _ = wanted.send(());
        }
    }

    /// Ends all waiting helpers; none is prepared from here on. Blocking.
    pub(super) fn close(&mut self) {
        let Some((wanted, thread)) = self.work.take() else { return };
        drop(wanted);
        let _ = thread.join();
        for ready in std::mem::take(&mut *self.shared.waiting()) {
            ready.discard();
        }
    }
}

impl Shared {
    /// The list is valid after every statement: a panic elsewhere does not spoil it.
    fn waiting(&self) -> MutexGuard<'_, Vec<Ready>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reading end does not block.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&reader, rustix::fs::OFlags::NONBLOCK)?;
    Ok((reader, writer))
}
