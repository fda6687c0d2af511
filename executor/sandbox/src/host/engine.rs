//! The engines: what executes the command in namespaces of its own, and how the command's end is learned from it.
//! Everything else (control groups, users, workspace, limits, artifacts, clean-up) is the same for all.
//!
//! - **bubblewrap**: a setup program that becomes the sandbox's pid 1. The helper becomes the slot's user first.
//! - **OCI**: a runtime that is given a bundle ([`oci`]), in a user namespace of the slot (`helper/oci.rs`).
mod bubblewrap;
mod oci;

use std::path::PathBuf;

use super::error::SandboxError;
use super::locate;
use super::spec::SandboxSpec;
use super::view::View;
use crate::kernel::cgroup::{CGROUP_ROOT, Overhead};
use crate::protocol::engine::{Engine, Runtime, RuntimeKind};

/// Which engine an operator chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineConfig {
    /// bubblewrap, looked up in `PATH` when it is a bare name.
    Bubblewrap { program: PathBuf },
    /// An OCI runtime, looked up likewise, and what it is told before its own command (such as `--platform=kvm`).
    Oci { runtime: PathBuf, arguments: Vec<String> },
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self::Bubblewrap { program: "bwrap".into() }
    }
}

impl Engine {
    pub(super) fn find(config: &EngineConfig) -> Result<Self, SandboxError> {
        match config {
            EngineConfig::Bubblewrap { program } => {
                Ok(Self::Bubblewrap { program: locate::program(program, "bubblewrap")? })
            }
            EngineConfig::Oci { runtime, arguments } => {
                let name = runtime.file_name().unwrap_or_default().to_string_lossy();
                let kind = if name.starts_with("runsc") { RuntimeKind::Guest } else { RuntimeKind::Native };
                let program = locate::program(runtime, &name)?;
                Ok(Self::Oci(Runtime { program, arguments: arguments.clone(), kind }))
            }
        }
    }

    /// Paths of the host that it needs besides those of every sandbox.
    pub(super) fn needs(&self) -> Vec<PathBuf> {
        match self {
            Self::Bubblewrap { program } => vec![program.clone()],
            // Runtimes look for the control groups, which they cannot change, and refuse to start without.
            Self::Oci(runtime) => vec![runtime.program.clone(), CGROUP_ROOT.into()],
        }
    }

    pub(super) fn overhead(&self) -> Overhead {
        match self {
            // Its monitor and its pid 1.
            Self::Bubblewrap { .. } => Overhead { pids: 2, pids_for_each: 1, is_exact: true },
            Self::Oci(runtime) => match runtime.kind {
                // Our two, and threads of the runtime while it starts. The limit of the user's processes is exact.
                RuntimeKind::Native => Overhead { pids: 64, pids_for_each: 1, is_exact: false },
                // File server and kernel have threads as they like, and for each process of the guest a few.
                RuntimeKind::Guest => Overhead { pids: 256, pids_for_each: 4, is_exact: false },
            },
        }
    }

    /// The instructions that the engine reads.
    pub(super) fn render(&self, spec: &SandboxSpec<'_>) -> Result<Vec<u8>, SandboxError> {
        let view = View::of(spec);
        match self {
            Self::Bubblewrap { .. } => Ok(bubblewrap::arguments(&view)),
            Self::Oci(runtime) => oci::configuration(&view, runtime.kind, spec.limits),
        }
    }
}
