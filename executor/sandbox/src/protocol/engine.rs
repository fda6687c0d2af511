//! An engine of this machine: the program that executes the command in namespaces of its own.
use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Engine {
    Bubblewrap { program: PathBuf },
    Oci(Runtime),
}

impl Engine {
    /// True if a kernel of the engine's own answers the command.
    pub(crate) fn is_guest(&self) -> bool {
        matches!(self, Self::Oci(Runtime { kind: RuntimeKind::Guest, .. }))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Runtime {
    pub(crate) program: PathBuf,
    /// Arguments of the operator.
    pub(crate) arguments: Vec<String>,
    pub(crate) kind: RuntimeKind,
}

/// The relation of a command's processes to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RuntimeKind {
    /// Processes of the host (runc, crun).
    Native,
    /// Processes of the runtime's own kernel (gVisor's runsc), which is a process of the host.
    Guest,
}
