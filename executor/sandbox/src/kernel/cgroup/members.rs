//! Signalling the members of a control group without ever hitting a stranger that got a recycled pid.
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Signals all members that `is_meant`, by pid, and returns handles of those reached. A pid is resolved to a process handle
/// first and must still be listed afterwards: then the handle is that of a member, whoever had the number before.
pub(super) fn signal(directory: &Path, signal: Signal, is_meant: impl Fn(i32) -> bool) -> io::Result<Vec<OwnedFd>> {
    let handles: Vec<(i32, OwnedFd)> = list(directory)?
        .into_iter()
        .filter(|pid| is_meant(*pid))
        .filter_map(|pid| Some((pid, pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?)))
        .collect();
    if handles.is_empty() {
        return Ok(Vec::new());
    }
    let members = list(directory)?;
    let mut reached = Vec::with_capacity(handles.len());
    for (pid, handle) in handles {
        // An error means that the process ended in between, which is as good.
        if members.contains(&pid) && pidfd_send_signal(&handle, signal).is_ok() {
            reached.push(handle);
        }
    }
    Ok(reached)
}

pub(super) fn none(directory: &Path) -> io::Result<bool> {
    list(directory).map(|members| members.is_empty())
}

/// Lists the members; a group that is gone has none.
pub(super) fn list(directory: &Path) -> io::Result<BTreeSet<i32>> {
    match fs::read_to_string(directory.join("cgroup.procs")) {
        Ok(text) => Ok(text.lines().filter_map(|line| line.parse().ok()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        // The group was removed while the file was open.
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}
