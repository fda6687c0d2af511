//! One user namespace per slot that maps root (the owner of every cached tree) to the slot's uid, for idmapped mounts.
//! Made once and kept, because creating one costs a process.
use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use super::control;
use super::error::{SandboxError, Step as _};
use super::spawner::{Spawner, Standard};

/// The helper's word for "the namespace exists, map it".
pub(super) const READY: &[u8] = b"ready";

/// The owner of every file of a cached tree, as extraction leaves it.
const TREE_OWNER: u32 = 0;

pub(super) async fn user_namespace(spawner: &Spawner, uid: u32) -> Result<OwnedFd, SandboxError> {
    let (ours, theirs) = control::pair().step("socket pair")?;
    let mut child = spawner.spawn(vec!["user-namespace".into()], theirs, Standard::Null).await?;
    let control = control::AsyncEnd::new(ours).step("control socket")?;
    let answer = control.receive().await.step("control socket")?;
    match answer {
        Some(message) if message.text == READY => {}
        Some(message) => {
            return Err(SandboxError::unavailable("user namespace", String::from_utf8_lossy(&message.text)));
        }
        None => return Err(SandboxError::unavailable("user namespace", "the helper died")),
    }
    let pid = child.id().ok_or_else(|| SandboxError::unavailable("user namespace", "the helper died"))?;
    let namespace = map(pid, uid).step("map the user namespace")?;
    drop(control);
    child.wait().await.step("wait for the helper")?;
    Ok(namespace)
}

fn map(pid: u32, uid: u32) -> io::Result<OwnedFd> {
    let mapping = format!("{TREE_OWNER} {uid} 1\n");
    fs::write(format!("/proc/{pid}/uid_map"), &mapping)?;
    fs::write(format!("/proc/{pid}/gid_map"), &mapping)?;
    Ok(fs::File::open(format!("/proc/{pid}/ns/user"))?.into())
}
