//! The helper program `crownest-sandbox`: a fork server, and in each of its forks one sandbox from the first step to
//! `exec` of bubblewrap, or to a sandbox's pid 1 that runs an OCI runtime (`init_oci`). One thread, no runtime, nothing allocated that matters. It exists because namespaces and
//! credentials belong to threads, and the executor has many.
//!
//! Order of operations of a run (each is named in the error it may cause):
//! 1. take standard input, output and error from the executor; mount namespace; wait until there is a run (the executor
//!    has put us into control groups by then, and set their limits) and take its descriptors
//! 2. overlay, staging folder (`init_mounts`); with egress also a network namespace and a listening
//!    socket in it (`init_network`); hand the overlay and the socket to the executor
//! 3. open the system call filter, resource limits, then groups, gid and uid of the slot; no way back from here (for an
//!    OCI runtime: the slot's user namespace, and its root)
//! 4. tie our life to the executor's, set `no_new_privs`, exec bubblewrap (or fork pid 1 in new namespaces)
use std::ffi::CStr;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use rustix::process::{Resource, Rlimit, Signal};
use rustix::thread::{Gid, Uid, UnshareFlags};

use super::config::Network;
use super::control::{self, Message};
use super::engine::Engine;
use super::request::Request;
use super::spawner::Task;
use super::users::Users;
use super::view::SHELL;
use super::{init_mounts, init_network, init_oci, landlock, rootfs, rootless};

/// The helper's own exit code when it gives up; the reason goes over the control socket.
const FAILED: u8 = 125;
/// Enough for any package manager, few enough that nobody's `close` loop over all of them takes seconds.
pub(super) const MAX_OPEN_FILES: u64 = 65_536;
/// One byte is too small for a core file, and is the value for which the kernel skips a piped core handler, which would
/// run outside the sandbox.
pub(super) const CORE_BYTES: u64 = 1;
/// Under memory pressure of the whole machine, sandboxes go before the executor.
const OOM_SCORE_ADJ: &str = "500";

/// Executes a command in a user namespace like an executor's, which its user needs to look at files of runs.
const ENTER: &str = "enter";
const USAGE: &str = "crownest-sandbox is started by crownest-executor, not by hand, except as `crownest-sandbox enter COMMAND`: \
                     that runs a command as a user without root sees it who has subordinate ids (/etc/subuid)";

/// A helper's word that it waits for a run.
pub(super) const READY: &[u8] = b"ready";
/// What `ps` calls it meanwhile, and from then on.
const WAITING: &CStr = c"sandbox-ready";
const WORKING: &CStr = c"sandbox-run";

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
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next().unwrap_or_default();
    if first == ENTER {
        let error = rootless::execute(arguments);
        let _ = writeln!(io::stderr(), "crownest-sandbox: {error}");
        return ExitCode::from(FAILED);
    }
    let Some(executor_pid) = first.to_str().and_then(|pid| pid.parse().ok()) else {
        let _ = writeln!(io::stderr(), "{USAGE}");
        return ExitCode::from(FAILED);
    };
    let needed: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    let Ok(users) = Users::of_this_process() else { return ExitCode::from(FAILED) };
    let forked = close_inherited()
        .and_then(|()| die_with_executor(executor_pid))
        .and_then(|()| init_mounts::keep_needed(&needed))
        .and_then(|()| serve());
    let Ok(Some((task, control))) = forked else {
        return if forked.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) };
    };
    let result = match task {
        Task::UserNamespace => lend_user_namespace(&control),
        Task::Run => run(&control, executor_pid, users),
    };
    if let Err((step, error)) = result {
        // If even this fails, the executor sees the socket close without a message and says so.
        let _ = control::send(control.as_fd(), format!("{step}: {error}").as_bytes(), &[]);
        return ExitCode::from(FAILED);
    }
    ExitCode::SUCCESS
}

/// Forks for every request on standard input, until the executor is gone (`None`). In a fork it returns what to do and
/// the control socket, which is then standard input, too.
fn serve() -> io::Result<Option<(Task, OwnedFd)>> {
    let server = io::stdin();
    while let Some(Message { text, fds }) = control::receive(server.as_fd())? {
        let task = Task::parse(&text).ok_or_else(|| io::Error::other("unknown task"))?;
        match fork(libc::CLONE_PARENT) {
            Ok(None) => return become_helper(fds).map(|control| Some((task, control))),
            Ok(Some((pid, handle))) => control::send(server.as_fd(), pid.to_string().as_bytes(), &[handle.as_fd()])?,
            Err(error) => control::send(server.as_fd(), format!("fork: {error}").as_bytes(), &[])?,
        }
    }
    Ok(None)
}

/// With `CLONE_PARENT` a child of the *executor*. Returns its pid and a handle, and in the child itself `None`.
pub(super) fn fork(flags: libc::c_int) -> io::Result<Option<(i32, OwnedFd)>> {
    let mut handle: RawFd = -1;
    let flags = flags | libc::CLONE_PIDFD | libc::SIGCHLD;
    // SAFETY: without CLONE_VM this is fork(2), in a process with one thread. The kernel writes the handle, a
    // descriptor of this process that nobody else owns, before it returns a positive pid.
    #[expect(unsafe_code, reason = "the fork of libc knows neither CLONE_PARENT nor CLONE_PIDFD")]
    unsafe {
        match libc::syscall(libc::SYS_clone, flags, 0, &raw mut handle, 0, 0) {
            0 => Ok(None),
            pid if pid > 0 => {
                let handle = OwnedFd::from_raw_fd(handle);
                Ok(Some((i32::try_from(pid).map_err(io::Error::other)?, handle)))
            }
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Puts what the executor sent in the place of the fork server's own standard descriptors.
fn become_helper(mut fds: Vec<OwnedFd>) -> io::Result<OwnedFd> {
    if fds.len() == 3 {
        rustix::stdio::dup2_stderr(&fds[2])?;
        rustix::stdio::dup2_stdout(&fds[1])?;
        fds.truncate(1);
    }
    let control = fds.pop().ok_or_else(|| io::Error::other("no control socket"))?;
    rustix::stdio::dup2_stdin(&control)?;
    Ok(control)
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

fn run(control: &OwnedFd, executor_pid: i32, users: Users) -> Result<(), Failure> {
    init_mounts::unshare().at("unshare mount namespace")?;
    rustix::thread::set_name(WAITING).at("take a name")?;
    control::send(control.as_fd(), READY, &[]).at("report")?;
    let message = control::receive(control.as_fd()).at("receive descriptors")?;
    rustix::thread::set_name(WORKING).at("take a name")?;
    let mut fds = message.map(|message| message.fds).unwrap_or_default().into_iter();
    let mut next = || fds.next().ok_or_else(|| io::Error::other("the executor is gone")).at("receive descriptors");
    let [request, lower, instructions, status] = [next()?, next()?, next()?, next()?];
    let mut bytes = Vec::new();
    fs::File::from(request).read_to_end(&mut bytes).at("read the request")?;
    let request = Request::parse(&bytes)?;

    let workspace = init_mounts::mount_workspace(&request, &lower, users)?;
    let listener = match request.network {
        Network::Nothing => None,
        Network::Proxy => Some(init_network::listen()?),
    };
    let given: Vec<_> = [Some(&workspace), listener.as_ref()].into_iter().flatten().map(OwnedFd::as_fd).collect();
    control::send(control.as_fd(), b"mounted", &given).at("hand over the workspace")?;
    drop((workspace, lower, listener));
    match &request.engine {
        Engine::Bubblewrap { program } => bubblewrap(&request, program, &instructions, &status, executor_pid),
        Engine::Oci(runtime) => {
            init_mounts::mount_oci(super::idmap::runtime_uid(request.uid))?;
            limit_resources().at("set resource limits")?;
            init_oci::run(runtime, request.network, instructions, status, &next()?, control, executor_pid)
        }
    }
}

/// Returns only if that fails.
fn bubblewrap(
    request: &Request,
    program: &Path,
    arguments: &OwnedFd,
    status: &OwnedFd,
    executor_pid: i32,
) -> Result<(), Failure> {
    // Opened for each run: bubblewrap reads it from where the offset is.
    let filter =
        fs::File::open(request.stage.join(rootfs::FILTER)).map(OwnedFd::from).at("open the system call filter")?;
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
