//! The program `crownest-sandbox`: a fork server, and in each of its forks one sandbox from the first step to `exec` of
//! bubblewrap, or to a sandbox's pid 1 that runs an OCI runtime. One thread, no async runtime. The program exists because
//! namespaces and credentials belong to threads, and the executor has many.
//!
//! Order of operations of a run (each is named in the error it may cause):
//! 1. take standard input, output and error from the executor; mount namespace; wait until there is a run (the executor
//!    has put us into control groups by then, and set their limits) and take its descriptors
//! 2. overlay, staging folder (`mounts`); with egress also a network namespace and a listening socket in it (`network`);
//!    hand the overlay and the socket to the executor
//! 3. open the system call filter, resource limits, then groups, gid and uid of the slot; no way back from here (for an
//!    OCI runtime: the slot's user namespace, and its root)
//! 4. tie our life to the executor's, set `no_new_privs`, exec bubblewrap (or fork pid 1 in new namespaces)
mod bubblewrap;
mod fork_server;
mod mounts;
mod network;
mod oci;
mod privileges;
mod run;

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;

use rustix::thread::UnshareFlags;

use crate::kernel::namespaces::unshare;
use crate::kernel::rootless;
use crate::kernel::users::Users;
use crate::protocol::control;
use crate::protocol::failure::{At as _, Failure};
use crate::protocol::message::READY;
use crate::protocol::task::Task;

/// The helper's own exit code when it gives up; the reason goes over the control socket.
const FAILED: u8 = 125;

/// Executes a command in a user namespace like an executor's, which its user needs to look at files of runs.
const ENTER: &str = "enter";
const USAGE: &str = "crownest-sandbox is started by crownest-executor, not by hand, except as `crownest-sandbox enter COMMAND`: \
                     that runs a command as a user without root sees it who has subordinate ids (/etc/subuid)";

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
    let forked = privileges::close_inherited()
        .and_then(|()| privileges::die_with_executor(executor_pid))
        .and_then(|()| mounts::keep_needed(&needed))
        .and_then(|usr| Ok(fork_server::serve()?.map(|(task, control)| (task, control, usr))));
    let Ok(Some((task, control, usr))) = forked else {
        return if forked.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) };
    };
    let result = match task {
        Task::UserNamespace => lend_user_namespace(&control),
        Task::Run => run::run(&control, executor_pid, users, &usr),
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
    unshare(UnshareFlags::NEWUSER).at("unshare user namespace")?;
    control::send(control.as_fd(), READY, &[]).at("report")?;
    let _ = io::stdin().read(&mut [0]);
    Ok(())
}
