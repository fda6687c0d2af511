//! An engine of this machine: the program that executes the command in namespaces of its own.
use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Engine {
    Bubblewrap { program: PathBuf },
    Oci(Runtime),
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
