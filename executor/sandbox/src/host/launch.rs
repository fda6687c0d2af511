//! From a checked request to a running sandbox, on one blocking thread: the steps are short, and handing each of them
//! to another thread would cost more than most of them.
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::{SandboxError, Step as _};
use super::lower::{self, Owner};
use super::machine::Machine;
use super::meter::Meter;
use super::ready::Ready;
use super::remains::{Remains, Space};
use super::sandbox::{Sandbox, Started, Target};
use super::slot::Slot;
use super::spec::{Root, SandboxSpec};
use super::status::Status;
use crate::kernel::cgroup::{Cgroup, Limits};
use crate::kernel::process::wait_readable;
use crate::protocol::control;
use crate::protocol::engine::{Engine, Runtime, RuntimeKind};
use crate::protocol::message::{RUN, STARTED};
use crate::protocol::request::{Network, Request, memfd};

/// Generous: a start takes about 10 ms, unless the machine is in trouble.
const DEADLINE: Duration = Duration::from_secs(30);
/// Longest part of bubblewrap's own complaint in an error.
const COMPLAINT_BYTES: u64 = 4096;

/// A specification that may travel to another thread.
#[derive(Debug)]
pub(super) struct Launch {
    label: String,
    lower: PathBuf,
    root: Option<PathBuf>,
    command: OsString,
    limits: Limits,
    network: Network,
    /// Instructions for the engine.
    instructions: Vec<u8>,
}

impl Launch {
    pub(super) fn new(spec: &SandboxSpec<'_>, engine: &Engine) -> Result<Self, SandboxError> {
        spec.validate()?;
        Ok(Self {
            label: spec.label.to_owned(),
            lower: spec.lower.to_owned(),
            root: match spec.root {
                Root::Host => None,
                Root::Tree(tree) => Some(tree.to_owned()),
            },
            command: spec.command.to_owned(),
            limits: spec.limits,
            network: spec.network,
            instructions: engine.render(spec)?,
        })
    }

    /// Starts the sandbox. Blocking; call this in the context of an async runtime.
    pub(super) fn start(self, machine: &Machine, slot: Slot) -> Result<Sandbox, SandboxError> {
        let deadline = Instant::now() + DEADLINE;
        let uid = slot.uid();
        let idmap = machine.idmap(uid, deadline)?;
        let users = match machine.engine {
            Engine::Bubblewrap { .. } => None,
            Engine::Oci(_) => Some(machine.runtime_users(uid, deadline)?),
        };
        let disk = machine.disk(slot.number()).step("make the slot's disk (--disk-bytes)")?;
        let run_dir = machine.run_dir(&self.label);
        if let Err(error) = fs::create_dir(&run_dir) {
            return Err(SandboxError::InvalidSpec(format!("label {:?} cannot be used: {error}", self.label)));
        }
        let ready = machine.ready.take().inspect_err(|_| drop(fs::remove_dir(&run_dir)))?;
        let Ready { helper, control: ours, stdout, stderr, cgroup } = ready;
        let (monitor, cgroup) = (Arc::new(helper), Arc::new(cgroup));
        let layers = disk.as_ref().map(|disk| disk.folder(&self.label));
        let space = match disk.clone().zip(layers.clone()) {
            Some((disk, folder)) => Space::Disk(disk, folder),
            None => Space::Unlimited,
        };
        let mut remains = Remains::new(Arc::clone(&monitor), Arc::clone(&cgroup), run_dir.clone(), slot, space);
        // The helper is in the group already: everything that it does from here on is limited and counted.
        cgroup.limit(self.limits).step("set the limits of the control group")?;
        fill(&run_dir, layers.as_deref(), uid).step("create run directory")?;
        let request = Request {
            uid,
            run_dir: run_dir.clone(),
            disk: disk.map(|disk| (disk.device().to_owned(), self.label.clone().into())),
            stage: machine.stage(),
            root: self.root.clone(),
            engine: machine.engine.clone(),
            network: self.network,
            command: self.command,
        };

        let (mut status, status_writer) = Status::pipe().step("status pipe")?;
        let owner = idmap.as_ref().map_or(Owner::Is(uid), |idmap| Owner::Mapped(idmap.as_fd()));
        let lower = lower::mount(&self.lower, owner)?;
        let request = memfd(&request.to_bytes()).step("memfd")?;
        let instructions = memfd(&self.instructions).step("memfd")?;
        let mut lent = vec![request.as_fd(), lower.as_fd(), instructions.as_fd(), status_writer.as_fd()];
        lent.extend(users.as_ref().map(|users| users.as_fd()));
        control::send(ours.as_fd(), RUN, &lent).step("send descriptors")?;
        // Only the sandbox holds these from here on, so that their end is its end.
        drop((status_writer, lower));

        let (workspace, listener) = handshake(&ours, deadline)?;
        if let Some(bytes) = machine.measured_bytes() {
            let meter = meter(&run_dir, &workspace, bytes, Arc::clone(&cgroup)).step("measure what the run writes")?;
            remains.measure(meter);
        }
        let pid_1 =
            status.child_pid(deadline).map_err(|error| SandboxError::unavailable("start the sandbox", error))?;
        let Some(pid_1) = pid_1 else { return Err(complaint(stderr, deadline)) };
        let target = match &machine.engine {
            Engine::Bubblewrap { .. } => Target::AllBut([monitor.pid(), pid_1]),
            Engine::Oci(Runtime { kind: RuntimeKind::Native, .. }) => Target::User(uid),
            Engine::Oci(Runtime { kind: RuntimeKind::Guest, .. }) => Target::Guest(ours),
        };
        let started = Started { monitor, target, status, stdout, stderr, workspace, listener, cgroup, remains };
        Sandbox::new(started).step("watch the sandbox")
    }
}

/// The folders that the run writes to, with their modes.
const WRITTEN: [(&str, u32); 2] = [("upper", 0o755), ("tmp", 0o1777)];

/// Creates the folders that the helper mounts on, and those that the run writes to: of the overlay, and `/tmp`.
fn fill(run_dir: &Path, layers: Option<&Path>, uid: u32) -> io::Result<()> {
    fs::create_dir(run_dir.join("lower"))?;
    if let Some(layers) = layers {
        fs::create_dir(run_dir.join("disk"))?;
        fs::create_dir(layers)?;
    }
    let layers = layers.unwrap_or(run_dir);
    fs::create_dir(layers.join("work"))?;
    for (name, mode) in WRITTEN {
        let folder = layers.join(name);
        fs::create_dir(&folder)?;
        fs::set_permissions(&folder, Permissions::from_mode(mode))?;
        std::os::unix::fs::chown(&folder, Some(uid), Some(uid))?;
    }
    Ok(())
}

fn meter(run_dir: &Path, workspace: &OwnedFd, bytes: u64, cgroup: Arc<Cgroup>) -> io::Result<Meter> {
    let folders = WRITTEN.map(|(name, _)| run_dir.join(name));
    let devices = vec![fs::metadata(&folders[0])?.dev(), rustix::fs::fstat(workspace)?.st_dev];
    Meter::start(folders.into(), devices, bytes, cgroup)
}

/// Receives at most two messages: the workspace (and the socket of an egress proxy), then either a failure, or that the
/// sandbox has started. bubblewrap says that by the end of the stream, because executing it closed the helper's socket.
fn handshake(control: &OwnedFd, deadline: Instant) -> Result<(OwnedFd, Option<OwnedFd>), SandboxError> {
    const STEP: &str = "set up the sandbox";
    let failure = |text: &[u8]| SandboxError::unavailable(STEP, String::from_utf8_lossy(text));
    let next =
        || control::receive_by(control.as_fd(), deadline).map_err(|error| SandboxError::unavailable(STEP, error));
    let message = next()?.ok_or_else(|| SandboxError::unavailable(STEP, "the helper died"))?;
    let mut given = message.fds.into_iter();
    let workspace = given.next().ok_or_else(|| failure(&message.text))?;
    match next()? {
        None => Ok((workspace, given.next())),
        Some(message) if message.text == STARTED => Ok((workspace, given.next())),
        Some(message) => Err(failure(&message.text)),
    }
}

/// bubblewrap ended before there was a sandbox: nobody but itself has written to standard error.
fn complaint(stderr: OwnedFd, deadline: Instant) -> SandboxError {
    let mut text = Vec::new();
    if wait_readable(&stderr, deadline).is_ok() {
        // What it wrote last is in the pipe, or was never written.
        let _ = fs::File::from(stderr).take(COMPLAINT_BYTES).read_to_end(&mut text);
    }
    SandboxError::unavailable("start the sandbox", String::from_utf8_lossy(&text).trim())
}
