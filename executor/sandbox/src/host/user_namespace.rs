//! Makes a user namespace with the help of a helper, which costs a process: the host keeps what it made.
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Instant;

use super::error::{SandboxError, Step as _};
use super::spawner::Spawner;
use crate::protocol::control;
use crate::protocol::message::READY;
use crate::protocol::task::Task;

/// Blocking.
pub(super) fn create(spawner: &Spawner, mapping: &str, deadline: Instant) -> Result<OwnedFd, SandboxError> {
    let (ours, theirs) = control::pair().step("socket pair")?;
    let helper = spawner.spawn(Task::UserNamespace, &[theirs.as_fd()], deadline)?;
    drop(theirs);
    let namespace = match control::receive_by(ours.as_fd(), deadline) {
        Ok(Some(message)) if message.text == READY => map(helper.pid(), mapping).step("map the user namespace"),
        Ok(Some(message)) => Err(SandboxError::unavailable("user namespace", String::from_utf8_lossy(&message.text))),
        Ok(None) => Err(SandboxError::unavailable("user namespace", "the helper died")),
        Err(error) => Err(error).step("control socket"),
    };
    helper.kill().step("wait for the helper")?;
    namespace
}

fn map(pid: i32, mapping: &str) -> io::Result<OwnedFd> {
    fs::write(format!("/proc/{pid}/uid_map"), mapping)?;
    fs::write(format!("/proc/{pid}/gid_map"), mapping)?;
    Ok(fs::File::open(format!("/proc/{pid}/ns/user"))?.into())
}
