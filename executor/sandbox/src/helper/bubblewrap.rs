//! The last steps before bubblewrap takes over this process.
use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::privileges::{become_user, die_with_executor, limit_resources};
use crate::kernel::landlock;
use crate::protocol::failure::{At as _, Failure};
use crate::protocol::layout::{FILTER, SHELL};
use crate::protocol::request::Request;

/// Returns only if that fails.
pub(super) fn execute(
    request: &Request,
    program: &Path,
    arguments: &OwnedFd,
    status: &OwnedFd,
    executor_pid: i32,
) -> Result<(), Failure> {
    // Opened for each run: bubblewrap reads it from where the offset is.
    let filter = fs::File::open(request.stage.join(FILTER)).map(OwnedFd::from).at("open the system call filter")?;
    let landlock = landlock::program().at("make the first program of the sandbox")?;
    limit_resources().at("set resource limits")?;
    become_user(request.uid).at("become the slot's user")?;
    die_with_executor(executor_pid).at("die with the executor")?;
    rustix::thread::set_no_new_privs(true).at("no_new_privs")?;
    let told = rustix::io::dup(status).at("pass descriptors on")?;
    for inherited in [arguments, status, &filter, &landlock, &told] {
        rustix::io::fcntl_setfd(inherited, rustix::io::FdFlags::empty()).at("pass descriptors on")?;
    }
    // std resets SIGPIPE and the signal mask for the program it executes.
    let error = Command::new(program)
        .arg("--seccomp")
        .arg(filter.as_raw_fd().to_string())
        .arg("--json-status-fd")
        .arg(status.as_raw_fd().to_string())
        .arg("--args")
        .arg(arguments.as_raw_fd().to_string())
        .arg("--")
        .arg(format!("/proc/self/fd/{}", landlock.as_raw_fd()))
        .arg(told.as_raw_fd().to_string())
        .args(SHELL)
        .arg(&request.command)
        .env_clear()
        .current_dir(Path::new("/"))
        .stdin(Stdio::null())
        .exec();
    Err(("exec bubblewrap", error))
}
