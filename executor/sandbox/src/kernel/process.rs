//! A child process of this executor that it did not start itself, held by a pidfd.
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

/// Time for the kernel to tear down killed processes, after which cleanup counts as failed.
pub(crate) const KILL_DEADLINE: Duration = Duration::from_secs(10);

/// The end of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Exited(i32),
    Killed(i32),
}

/// A process that [`ending`](Self::ending) or [`kill`](Self::kill) must collect, or it stays a zombie.
#[derive(Debug)]
pub(crate) struct Process {
    pid: i32,
    handle: Arc<OwnedFd>,
}

impl Process {
    pub(crate) fn new(pid: i32, handle: OwnedFd) -> Self {
        Self { pid, handle: Arc::new(handle) }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Readable once the process has ended.
    pub(crate) fn handle(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.handle)
    }

    /// The end of the process, which the kernel tells once; `None` while it runs.
    pub(crate) fn ending(&self) -> io::Result<Option<Ending>> {
        let status = waitid(WaitId::PidFd(self.handle.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG)?;
        Ok(status.and_then(|status| {
            let exited = status.exit_status().map(Ending::Exited);
            exited.or_else(|| status.terminating_signal().map(Ending::Killed))
        }))
    }

    /// Kills and collects the process, unless that was done before. Blocking.
    pub(crate) fn kill(&self) -> io::Result<()> {
        // An error means that it has ended.
        let _ = pidfd_send_signal(&self.handle, Signal::KILL);
        wait_readable(&self.handle, Instant::now() + KILL_DEADLINE)?;
        match self.ending() {
            Ok(_) => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Waits until there is something to read or the end is reached; fails at the deadline.
pub(crate) fn wait_readable(file: impl AsFd, deadline: Instant) -> io::Result<()> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&file, PollFlags::IN)], Some(&left)) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")),
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
