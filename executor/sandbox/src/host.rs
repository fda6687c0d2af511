//! A machine as a place to run sandboxes: checked and swept when it is opened, then started on slot by slot. Everything
//! here runs in the executor's process.
pub(crate) mod config;
pub(crate) mod engine;
pub(crate) mod error;
mod ids;
mod launch;
mod locate;
mod lower;
mod machine;
mod meter;
mod ready;
mod remains;
pub(crate) mod sandbox;
mod slot;
mod spawner;
pub(crate) mod spec;
mod stage;
mod status;
mod sweep;
mod usage;
mod user_namespace;
pub(crate) mod view;

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use self::config::SandboxConfig;
use self::error::{SandboxError, Step as _};
use self::launch::Launch;
use self::machine::Machine;
use self::sandbox::Sandbox;
use self::slot::Slot;
use self::spec::{Root, SandboxSpec};
use crate::kernel::cgroup::{CGROUP_ROOT, Hierarchy, Limits, Overhead, Place};
use crate::kernel::rootless;
use crate::protocol::request::Network;

/// Cheap to clone. The last clone (or running sandbox) to go releases the work directory.
#[derive(Debug, Clone)]
pub struct SandboxHost {
    machine: Arc<Machine>,
}

impl SandboxHost {
    /// Locks the work directory, removes what a killed predecessor left, and proves with a first sandbox that the
    /// machine can run them. Must be root, of the machine or of a user namespace (see [`rootless`](crate::rootless)).
    pub async fn open(config: SandboxConfig) -> Result<Self, SandboxError> {
        let machine = spawn_blocking(move || Machine::open(&config)).await.map_err(io::Error::from).step("open")??;
        let host = Self { machine: Arc::new(machine) };
        host.self_test(0).await?;
        Ok(host)
    }

    /// Checks that the user of this process may open a host, as far as can be told without
    /// [entering](crate::rootless::enter) a user namespace. Root may.
    ///
    /// # Errors
    /// The error says what is missing, and how to mend it.
    pub fn check() -> Result<(), SandboxError> {
        if rustix::process::geteuid().is_root() {
            return Ok(());
        }
        rootless::check().map_err(|error| SandboxError::unavailable("start without root", error))?;
        let parent = SandboxConfig::new("").cgroup_parent;
        Hierarchy::open(Path::new(CGROUP_ROOT), Place::Own, parent, Overhead::default())
            .map_err(|error| SandboxError::unavailable("control groups", error))?;
        Ok(())
    }

    /// Starts a command. When this returns, the sandbox's pid 1 exists and the command is about to run; what can
    /// still go wrong before it does is reported by [`Sandbox::wait`].
    pub async fn start(&self, spec: SandboxSpec<'_>) -> Result<Sandbox, SandboxError> {
        let launch = Launch::new(&spec, &self.machine.engine)?;
        let slot = Slot::take(&self.machine, spec.slot)?;
        let machine = Arc::clone(&self.machine);
        let started =
            spawn_blocking(move || launch.start(&machine, slot)).await.map_err(io::Error::from).step("start")?;
        if started.as_ref().is_err_and(SandboxError::is_unavailable) {
            self.machine.slots.doubt(spec.slot);
        }
        started
    }

    /// True if the slot is free, and its last sandbox could be started.
    pub fn is_fit(&self, slot: u32) -> bool {
        self.machine.slots.is_fit(slot)
    }

    /// Makes a slot fit for another run when its last one has ended: waits until nothing of that is left, tries again to
    /// remove what could not be removed, and, where no sandbox could be started, proves that one can be now.
    ///
    /// # Errors
    /// The slot is not fit. Trying again later may help.
    pub async fn settle(&self, slot: u32) -> Result<(), SandboxError> {
        if self.is_fit(slot) {
            return Ok(());
        }
        let machine = Arc::clone(&self.machine);
        let cleaned = spawn_blocking(move || machine.slots.clean_up(slot, &machine)).await.map_err(io::Error::from);
        cleaned.step("clean up")?.map_err(|error| SandboxError::unavailable("clean up", error))?;
        if self.machine.slots.is_doubtful(slot) {
            self.self_test(slot).await?;
            self.machine.slots.trust(slot);
        }
        Ok(())
    }

    /// The user who must own the tree of a run in this slot; `None` for root, as which trees are extracted.
    pub fn tree_owner(&self, slot: u32) -> Option<u32> {
        self.machine.tree_owner(self.machine.ids.first.checked_add(slot)?)
    }

    /// The disk limit of a run, in bytes.
    pub fn disk_bytes(&self) -> Option<u64> {
        self.machine.disk_bytes
    }

    /// Runs a first command in the slot.
    async fn self_test(&self, slot: u32) -> Result<(), SandboxError> {
        const STEP: &str = "prepare the self-test";
        let lower = self.machine.stage().join("empty").join(slot.to_string());
        match std::fs::create_dir(&lower) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.step(STEP)?,
        }
        if let Some(owner) = self.tree_owner(slot) {
            std::os::unix::fs::chown(&lower, Some(owner), Some(owner)).step(STEP)?;
        }
        let spec = SandboxSpec {
            label: &format!("self-test-{slot}"),
            slot,
            lower: &lower,
            root: Root::Host,
            command: "exit 7".as_ref(),
            env: &[],
            limits: Limits::default(),
            network: Network::Nothing,
        };
        let mut sandbox = self.start(spec).await?;
        let exit = sandbox.wait().await?;
        sandbox.finish().await.cleanup.map_err(|error| SandboxError::unavailable("self-test", error))?;
        if exit.exit_code == Some(7) {
            return Ok(());
        }
        Err(SandboxError::unavailable("self-test", format!("expected exit code 7, got {exit:?}")))
    }
}
