//! Paths in the helper's own mount namespace, which the host names in what it renders for an engine.

/// The staging folder, in the helper's namespace only: every Linux has this folder, and every parent of
/// it can be entered by anybody, which is not so of the executor's own folders.
pub(crate) const STAGE: &str = "/mnt";
/// The root that goes with the host's `/usr`, inside [`STAGE`].
pub(crate) const HOST_ROOT: &str = "/mnt/host";
/// The bundle and the state of an OCI runtime, inside [`STAGE`]: in memory, gone with the namespace.
pub(crate) const OCI: &str = "/mnt/oci";
/// A root file system other than the host's, inside [`STAGE`].
pub(crate) const ROOT: &str = "/mnt/root";
/// The command's `/tmp`, inside [`STAGE`].
pub(crate) const TMP: &str = "/mnt/tmp";
/// The overlay, inside [`STAGE`].
pub(crate) const WORKSPACE: &str = "/mnt/workspace";

/// The system call filter, a file of the staging folder.
pub(crate) const FILTER: &str = "seccomp.bpf";

/// Executes the command, inside.
pub(crate) const SHELL: [&str; 2] = ["/bin/sh", "-c"];
