//! The helper's way with an OCI runtime, from the mounts on: a pid 1 of our own, which runs the runtime beside it in the
//! same pid namespace and tells how the command ended.
//!
//! None of this is root of the host. All of it lives in the slot's user namespace: the runtime and pid 1 as its root,
//! which is a user of the host that owns nothing, the command as the slot's user. The command can neither see nor signal
//! the others, whatever the runtime does about it, and when pid 1 is gone the kernel ends everything.
use std::fs;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, waitid, waitpid};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};
use serde::Deserialize;

use super::privileges::{become_user, die_with_executor};
use crate::kernel::fork::fork;
use crate::kernel::namespaces::unshare;
use crate::protocol::control;
use crate::protocol::engine::{Runtime, RuntimeKind};
use crate::protocol::failure::{At as _, Failure};
use crate::protocol::layout::OCI;
use crate::protocol::message::{STARTED, TERMINATE};
use crate::protocol::request::Network;
use crate::protocol::status::Document;

/// Inside [`OCI`].
const STATE: &str = "/mnt/oci/state";
const LOG: &str = "/mnt/oci/log";
const PANIC: &str = "/mnt/oci/panic";
const PID: &str = "/mnt/oci/pid";
/// The name of the only container of this runtime.
const ID: &str = "run";
/// `PF_FORKNOEXEC`, linux/sched.h: the process executed nothing since it was forked.
const NOTHING_EXECUTED: u64 = 0x40;
/// Longest text of the runtime about a failure.
const LONGEST_FAILURE: usize = 2048;

/// Runs the sandbox, and returns when it is gone. `users` is the slot's user namespace for runtimes.
pub(super) fn run(
    runtime: &Runtime,
    network: Network,
    configuration: OwnedFd,
    status: OwnedFd,
    users: &OwnedFd,
    control: &OwnedFd,
    executor_pid: i32,
) -> Result<(), Failure> {
    rustix::thread::move_into_link_name_space(users.as_fd(), Some(LinkNameSpaceType::User))
        .at("enter the slot's user namespace")?;
    become_user(0).at("become the root of the slot's user namespace")?;
    die_with_executor(executor_pid).at("die with the executor")?;
    rustix::thread::set_no_new_privs(true).at("no_new_privs")?;
    let mut namespaces = UnshareFlags::NEWPID | UnshareFlags::NEWNS;
    if runtime.kind == RuntimeKind::Guest && network == Network::Nothing {
        // It has an abstract socket, whose name is that of the container. With a proxy there is a namespace already.
        namespaces |= UnshareFlags::NEWNET;
    }
    unshare(namespaces).at("unshare namespaces")?;
    let (ours, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).at("pipe")?;
    let Some((pid, handle)) = fork(0).at("fork pid 1")? else {
        drop(theirs);
        let told = pid_1(runtime, network, configuration, control, &ours);
        let told = told.map_or_else(
            |failure| Document { failure: Some(failure), ..Document::default() },
            |exit_code| Document { exit_code: Some(exit_code), ..Document::default() },
        );
        let _ = told.write(&status);
        return Ok(());
    };
    Document { child_pid: Some(pid), ..Document::default() }.write(&status).at("report pid 1")?;
    control::send(control.as_fd(), STARTED, &[]).at("report")?;
    drop((ours, configuration, status));
    loop {
        match waitid(WaitId::PidFd(handle.as_fd()), WaitIdOptions::EXITED) {
            Err(rustix::io::Errno::INTR) => {}
            ended => break ended.map(|_| drop(theirs)).at("wait for pid 1"),
        }
    }
}

/// Returns the exit code of the command, or why it has none. The kernel kills whatever is left when this returns.
/// `parent` is readable once the helper is gone.
fn pid_1(
    runtime: &Runtime,
    network: Network,
    configuration: OwnedFd,
    control: &OwnedFd,
    parent: &OwnedFd,
) -> Result<i32, String> {
    prepare(configuration, parent).map_err(|(step, error)| format!("{step}: {error}"))?;
    let mut command = call(runtime, network);
    let started = command.args(["run", "--detach", "--bundle", OCI, "--pid-file", PID, ID]).spawn();
    let started = started.map_err(|error| format!("execute {}: {error}", runtime.program.display()))?;
    let started = i32::try_from(started.id()).ok().and_then(Pid::from_raw).ok_or("the runtime has no pid")?;
    if runtime.kind == RuntimeKind::Guest {
        let (runtime, control) = (runtime.clone(), control.try_clone().map_err(|error| error.to_string())?);
        // It ends with this process.
        std::thread::spawn(move || terminate_when_asked(&runtime, network, &control));
    }
    let ended = follow(started)?;
    // A guest's kernel that is killed says nothing about the command.
    let signal = ended.terminating_signal().filter(|_| runtime.kind == RuntimeKind::Native);
    // As bubblewrap tells it, and shells.
    ended.exit_status().or(signal.map(|signal| 128 + signal)).ok_or_else(|| format!("the guest's kernel: {ended:?}"))
}

fn prepare(configuration: OwnedFd, parent: &OwnedFd) -> Result<(), Failure> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).at("die with the helper")?;
    // For the case that it died before that.
    let mut gone = [rustix::event::PollFd::new(parent, rustix::event::PollFlags::IN)];
    if rustix::event::poll(&mut gone, Some(&rustix::event::Timespec::default())).at("poll")? > 0 {
        return Err(io::Error::other("the helper is gone")).at("die with the helper");
    }
    let flags =
        rustix::mount::MountFlags::NOSUID | rustix::mount::MountFlags::NODEV | rustix::mount::MountFlags::NOEXEC;
    rustix::mount::mount("proc", "/proc", "proc", flags, None::<&std::ffi::CStr>).at("mount /proc")?;
    rustix::process::chdir(OCI).at("enter the bundle")?;
    let mut bundle = fs::File::create_new("config.json").at("write the bundle")?;
    io::copy(&mut fs::File::from(configuration), &mut bundle).at("write the bundle")?;
    bundle.flush().at("write the bundle")
}

/// The runtime's command with the arguments that all its subcommands need.
fn call(runtime: &Runtime, network: Network) -> Command {
    let mut command = Command::new(&runtime.program);
    command.args(["--root", STATE, "--log", LOG, "--log-format", "json"]);
    if runtime.kind == RuntimeKind::Guest {
        let network = match network {
            Network::Nothing => "--network=none",
            // The guest's connections are made by its kernel, in our namespace: the proxy is not in the guest.
            Network::Proxy => "--network=host",
        };
        // The limits are ours, the root is not covered with memory.
        command.args(["--ignore-cgroups", network, "--overlay2=none", "--panic-log", PANIC]);
    }
    command.args(&runtime.arguments).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
    command
}

/// The runtime starts a process of the host and is gone: its orphan is ours. That is the command, or the kernel of a guest,
/// which exits as the command did, if it can.
fn follow(runtime: Pid) -> Result<WaitStatus, String> {
    let ended = wait(|| waitpid(Some(runtime), WaitOptions::empty()))?;
    if ended.exit_status() != Some(0) {
        return Err(said().unwrap_or_else(|| format!("the runtime failed: {ended:?}")));
    }
    let orphan = fs::read_to_string(PID).ok().and_then(|pid| pid.trim().parse().ok());
    let orphan: i32 = orphan.ok_or("the runtime started nothing")?;
    reap_until(orphan)?;
    let stat = fs::read_to_string(format!("/proc/{orphan}/stat")).map_err(|error| format!("read stat: {error}"))?;
    let ended = wait(|| waitpid(Pid::from_raw(orphan), WaitOptions::empty()))?;
    // A runtime that fails at its last step ends as the command would.
    match (flags(&stat), said()) {
        (Some(flags), None) if flags & NOTHING_EXECUTED == 0 => Ok(ended),
        (_, said) => Err(said.unwrap_or_else(|| format!("the runtime could not execute the command: {ended:?}"))),
    }
}

/// Collects orphans until the process with this pid has ended, which is left to be collected.
fn reap_until(pid: i32) -> Result<(), String> {
    loop {
        // SAFETY: the structure may be all zeroes, outlives the call, and tells the pid if the call succeeded.
        #[expect(unsafe_code, reason = "rustix does not tell the pid")]
        let ended = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            match libc::waitid(libc::P_ALL, 0, &raw mut info, libc::WEXITED | libc::WNOWAIT) {
                0 => Ok(info.si_pid()),
                _ => Err(io::Error::last_os_error()),
            }
        };
        match ended {
            Ok(ended) if ended == pid => return Ok(()),
            Ok(orphan) => drop(waitpid(Pid::from_raw(orphan), WaitOptions::NOHANG)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("wait: {error}")),
        }
    }
}

fn wait(mut once: impl FnMut() -> rustix::io::Result<Option<(Pid, WaitStatus)>>) -> Result<WaitStatus, String> {
    loop {
        match once() {
            Ok(Some((_, status))) => return Ok(status),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(format!("wait: {error}")),
        }
    }
}

/// The ninth field of `/proc/<pid>/stat`, counted from behind the name, which may have anything in it.
fn flags(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(6)?.parse().ok()
}

/// The last error that the runtime logged, or the panic of a guest's kernel.
fn said() -> Option<String> {
    #[derive(Deserialize)]
    struct Line {
        level: String,
        msg: String,
    }
    let shortened = |text: &str| text.chars().take(LONGEST_FAILURE).collect();
    // Other things are written there, too; with these lines a Go program dies.
    let panic = fs::read(PANIC).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default();
    if let Some(line) = panic.lines().find(|line| line.starts_with("panic: ") || line.starts_with("fatal error: ")) {
        return Some(shortened(line));
    }
    let log = fs::read(LOG).ok()?;
    let lines = serde_json::Deserializer::from_slice(&log).into_iter::<Line>().map_while(Result::ok);
    let error = lines.filter(|line| ["error", "fatal", "panic"].contains(&&*line.level)).last()?;
    Some(shortened(&error.msg))
}

/// Has the runtime signal the command. The process that this starts is collected as an orphan.
fn terminate_when_asked(runtime: &Runtime, network: Network, control: &OwnedFd) {
    while let Ok(Some(message)) = control::receive(control.as_fd()) {
        if message.text == TERMINATE {
            let _ = call(runtime, network)
                .args(["kill", "--all", ID, "TERM"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::flags;

    #[test]
    fn names_do_not_move_fields() {
        assert_eq!(flags("12 (a) b) 1 (x) Z 1 12 12 0 -1 4194316 0"), Some(4_194_316));
        assert_eq!(flags("12 (sh"), None);
    }
}
