//! One user namespace per slot that maps root (the owner of every cached tree) to the slot's uid, for idmapped mounts.
//! Made once and kept, because creating one costs a process.
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Instant;

use super::control;
use super::error::{SandboxError, Step as _};
use super::spawner::{Spawner, Task};

/// The helper's word for "the namespace exists, map it".
pub(super) const READY: &[u8] = b"ready";

/// The owner of every file of a cached tree, as extraction leaves it.
const TREE_OWNER: u32 = 0;

/// Blocking.
pub(super) fn user_namespace(spawner: &Spawner, uid: u32, deadline: Instant) -> Result<OwnedFd, SandboxError> {
    let (ours, theirs) = control::pair().step("socket pair")?;
    let helper = spawner.spawn(Task::UserNamespace, &[theirs.as_fd()], deadline)?;
    drop(theirs);
    let namespace = match control::receive_by(ours.as_fd(), deadline) {
        Ok(Some(message)) if message.text == READY => map(helper.pid(), uid).step("map the user namespace"),
        Ok(Some(message)) => Err(SandboxError::unavailable("user namespace", String::from_utf8_lossy(&message.text))),
        Ok(None) => Err(SandboxError::unavailable("user namespace", "the helper died")),
        Err(error) => Err(error).step("control socket"),
    };
    helper.kill().step("wait for the helper")?;
    namespace
}

fn map(pid: i32, uid: u32) -> io::Result<OwnedFd> {
    let mapping = format!("{TREE_OWNER} {uid} 1\n");
    fs::write(format!("/proc/{pid}/uid_map"), &mapping)?;
    fs::write(format!("/proc/{pid}/gid_map"), &mapping)?;
    Ok(fs::File::open(format!("/proc/{pid}/ns/user"))?.into())
}
