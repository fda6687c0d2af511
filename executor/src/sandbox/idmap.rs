//! User namespaces of a slot, made once and kept, because creating one costs a process: one that maps root (the owner of
//! every cached tree) to the slot's uid, for idmapped mounts, and one to live in for an OCI runtime and what it runs.
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Instant;

use super::control;
use super::error::{SandboxError, Step as _};
use super::spawner::{Spawner, Task};
use super::view::USER_ID;

/// The helper's word for "the namespace exists, map it".
pub(super) const READY: &[u8] = b"ready";

/// The owner of every file of a cached tree, as extraction leaves it.
const TREE_OWNER: u32 = 0;

/// Added to a slot's uid: the user that an OCI runtime and our pid 1 have, and that of a guest's kernel.
const RUNTIME: u32 = 100_000;
const GUEST_KERNEL: u32 = 200_000;
/// No slot's ids may be larger than this below the largest.
pub(super) const HIGHEST: u32 = GUEST_KERNEL;
/// As which runsc runs its kernel.
const NOBODY: u32 = 65_534;

/// The owner of a cached tree becomes the user of the slot.
pub(super) fn of_tree(uid: u32) -> String {
    format!("{TREE_OWNER} {uid} 1\n")
}

/// In a sandbox of an OCI runtime: its own root, which owns nothing on the host, and the user of the command.
pub(super) fn of_runtime(uid: u32) -> String {
    format!("0 {} 1\n{USER_ID} {uid} 1\n{NOBODY} {} 1\n", runtime_uid(uid), uid + GUEST_KERNEL)
}

/// Of the slot with this `uid`, on the host.
pub(super) fn runtime_uid(uid: u32) -> u32 {
    uid + RUNTIME
}

/// Blocking.
pub(super) fn user_namespace(spawner: &Spawner, mapping: &str, deadline: Instant) -> Result<OwnedFd, SandboxError> {
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
