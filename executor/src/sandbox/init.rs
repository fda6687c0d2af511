//! The helper process, from start to `exec` of bubblewrap: one thread, no runtime, nothing allocated that matters.
//! It exists because namespaces and credentials belong to threads, and the executor has many.
//!
//! Order of operations of `run` (each is named in the error it may cause):
//! 1. close every inherited descriptor but 0, 1, 2; receive the run's descriptors over the control socket (fd 0)
//! 2. join the run's control groups: everything from here on is limited and counted
//! 3. mount namespace, overlay, staging folder (`init_mounts`); hand the overlay to the executor
//! 4. resource limits, then groups, gid and uid of the slot; no way back from here
//! 5. tie our life to the executor's, set `no_new_privs`, exec bubblewrap
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use rustix::process::{Resource, Rlimit, Signal};
use rustix::thread::{Gid, Uid, UnshareFlags};

use super::control;
use super::init_mounts;
use super::request::Request;

/// The helper's own exit code when it gives up; the reason goes over the control socket.
const FAILED: u8 = 125;
/// Enough for any package manager, few enough that nobody's `close` loop over all of them takes seconds.
const MAX_OPEN_FILES: u64 = 65_536;
/// Under memory pressure of the whole machine, sandboxes go before the executor.
const OOM_SCORE_ADJ: &str = "500";

/// A step that failed, for the executor to read.
pub(super) type Failure = (&'static str, io::Error);

/// Tags an error with its step.
pub(super) trait At<T> {
    fn at(self, step: &'static str) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, step: &'static str) -> Result<T, Failure> {
        self.map_err(|error| (step, error.into()))
    }
}

/// Entry point of `crownest-sandbox`.
pub fn main() -> ExitCode {
    let Ok(control) = close_inherited().and_then(|()| io::stdin().as_fd().try_clone_to_owned()) else {
        return ExitCode::from(FAILED);
    };
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let result = match args.first().map(OsString::as_os_str) {
        Some(mode) if mode == OsStr::new("user-namespace") => lend_user_namespace(&control),
        _ => Request::parse(&args).and_then(|request| run(&request, &control)),
    };
    if let Err((step, error)) = result {
        // If even this fails, the executor sees the socket close without a message and says so.
        let _ = control::send(control.as_fd(), format!("{step}: {error}").as_bytes(), &[]);
        return ExitCode::from(FAILED);
    }
    ExitCode::SUCCESS
}

/// Enters a new user namespace and waits until the executor has mapped and opened it.
fn lend_user_namespace(control: &OwnedFd) -> Result<(), Failure> {
    // SAFETY: only `UnshareFlags::FILES` has requirements, and it is not used.
    #[expect(unsafe_code, reason = "unshare")]
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER) }.at("unshare user namespace")?;
    control::send(control.as_fd(), super::idmap::READY, &[]).at("report")?;
    let _ = io::stdin().read(&mut [0]);
    Ok(())
}

fn run(request: &Request, control: &OwnedFd) -> Result<(), Failure> {
    let message = control::receive(control.as_fd()).at("receive descriptors")?;
    let fds: Option<[OwnedFd; 3]> = message.and_then(|message| message.fds.try_into().ok());
    let [idmap, arguments, status] = fds.ok_or_else(|| io::Error::other("the executor is gone")).at("receive")?;

    for cgroup in &request.cgroups {
        fs::write(cgroup.join("cgroup.procs"), "0").at("join control group")?;
    }
    let workspace = init_mounts::mount_workspace(request, idmap.as_fd())?;
    control::send(control.as_fd(), b"mounted", &[workspace.as_fd()]).at("hand over the workspace")?;
    drop((workspace, idmap));

    limit_resources().at("set resource limits")?;
    become_slot(request.uid).at("become the slot's user")?;
    die_with_executor(request.executor_pid).at("die with the executor")?;
    rustix::thread::set_no_new_privs(true).at("no_new_privs")?;
    for inherited in [&arguments, &status] {
        rustix::io::fcntl_setfd(inherited, rustix::io::FdFlags::empty()).at("pass descriptors on")?;
    }
    // std resets SIGPIPE and the signal mask for the program it executes.
    let error = Command::new(&request.bwrap)
        .arg("--json-status-fd")
        .arg(status.as_raw_fd().to_string())
        .arg("--args")
        .arg(arguments.as_raw_fd().to_string())
        .args(["--", "/bin/sh", "-c"])
        .arg(&request.command)
        .env_clear()
        .current_dir(Path::new("/"))
        .stdin(Stdio::null())
        .exec();
    Err(("exec bubblewrap", error))
}

/// The executor opens everything close-on-exec, but a library in it might not. Runs before anything is opened here.
fn close_inherited() -> io::Result<()> {
    // SAFETY: called first thing in `main`; no object of this process owns a descriptor from 3 up yet.
    #[expect(unsafe_code, reason = "close_range has no safe wrapper")]
    let closed = unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
    if closed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn limit_resources() -> io::Result<()> {
    let at_most = |resource, value: u64| {
        let hard = rustix::process::getrlimit(resource).maximum.map_or(value, |hard| hard.min(value));
        rustix::process::setrlimit(resource, Rlimit { current: Some(hard), maximum: Some(hard) })
    };
    at_most(Resource::Nofile, MAX_OPEN_FILES)?;
    // One byte is too small for a core file, and is the value for which the kernel skips a piped core handler,
    // which would run outside the sandbox.
    at_most(Resource::Core, 1)?;
    fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJ)
}

fn become_slot(id: u32) -> io::Result<()> {
    let (gid, uid) = (Gid::from_raw(id), Uid::from_raw(id));
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    Ok(())
}

/// Set after the uid changed (that clears it), kept by `exec`. The parent *thread* is what counts: see `spawner`.
fn die_with_executor(executor_pid: i32) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if parent != Some(executor_pid) {
        return Err(io::Error::other("the executor is gone"));
    }
    Ok(())
}
