//! The privileges that a helper gives up, and the end that it shares with the executor.
use std::fs;
use std::io;

use rustix::process::{Resource, Rlimit, Signal};
use rustix::thread::{Gid, Uid};

use crate::kernel::rlimits::{self, CORE_BYTES, MAX_OPEN_FILES};

/// Under memory pressure of the whole machine, sandboxes go before the executor.
const OOM_SCORE_ADJ: &str = "500";

/// The executor opens everything close-on-exec, but a library in it might not. Runs before anything is opened here.
pub(super) fn close_inherited() -> io::Result<()> {
    // SAFETY: called first thing in `main`; no object of this process owns a descriptor from 3 up yet.
    #[expect(unsafe_code, reason = "close_range has no safe wrapper")]
    let closed = unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
    if closed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

pub(super) fn limit_resources() -> io::Result<()> {
    let at_most = |resource, value: u64| {
        let limit = Some(rlimits::at_most(resource, value));
        rustix::process::setrlimit(resource, Rlimit { current: limit, maximum: limit })
    };
    at_most(Resource::Nofile, MAX_OPEN_FILES)?;
    at_most(Resource::Core, CORE_BYTES)?;
    match fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJ) {
        // Without root it can only be raised, and is higher already.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        written => written,
    }
}

pub(super) fn become_user(id: u32) -> io::Result<()> {
    let (gid, uid) = (Gid::from_raw(id), Uid::from_raw(id));
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    Ok(())
}

/// Cleared by a change of the uid, kept by `exec`. The parent *thread* is what counts: see `spawner`.
pub(super) fn die_with_executor(executor_pid: i32) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if parent != Some(executor_pid) {
        return Err(io::Error::other("the executor is gone"));
    }
    Ok(())
}
