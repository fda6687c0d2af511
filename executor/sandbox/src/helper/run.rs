//! One run, from its descriptors to the engine.
use std::ffi::CStr;
use std::fs;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use rustix::thread::UnshareFlags;

use super::privileges::limit_resources;
use super::{bubblewrap, mounts, network, oci};
use crate::kernel::idmap::runtime_uid;
use crate::kernel::namespaces::unshare;
use crate::kernel::users::Users;
use crate::protocol::control;
use crate::protocol::engine::Engine;
use crate::protocol::failure::{At as _, Failure};
use crate::protocol::message::{MOUNTED, READY};
use crate::protocol::request::{Network, Request};

/// The name in `ps` until there is a run, and from then on.
const WAITING: &CStr = c"sandbox-ready";
const WORKING: &CStr = c"sandbox-run";

pub(super) fn run(control: &OwnedFd, executor_pid: i32, users: Users, usr: &[PathBuf]) -> Result<(), Failure> {
    unshare(UnshareFlags::NEWNS).at("unshare mount namespace")?;
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

    let workspace = mounts::mount_workspace(&request, &lower, users, usr)?;
    let listener = match request.network {
        Network::Nothing => None,
        Network::Proxy => Some(network::listen()?),
    };
    let given: Vec<_> = [Some(&workspace), listener.as_ref()].into_iter().flatten().map(OwnedFd::as_fd).collect();
    control::send(control.as_fd(), MOUNTED, &given).at("hand over the workspace")?;
    drop((workspace, lower, listener));
    if !request.engine.is_guest() {
        // A guest has devices of its own kernel, which may need more of the host's.
        mounts::mount_devices(users)?;
    }
    match &request.engine {
        Engine::Bubblewrap { program } => bubblewrap::execute(&request, program, &instructions, &status, executor_pid),
        Engine::Oci(runtime) => {
            mounts::mount_oci(runtime_uid(request.uid))?;
            limit_resources().at("set resource limits")?;
            oci::run(runtime, request.network, instructions, status, &next()?, control, executor_pid)
        }
    }
}
