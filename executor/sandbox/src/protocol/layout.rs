//! Paths in the helper's own mount namespace, which the host names in what it renders for an engine.

/// The staging folder, in the helper's namespace only: every Linux has this folder, and every parent of
/// it can be entered by anybody, which is not so of the executor's own folders.
pub(crate) const STAGE: &str = "/mnt";
/// The root that goes with the host's `/usr`, a folder of the staging folder.
pub(crate) const HOST_ROOT: &str = "/mnt/host";
/// A folder of the staging folder in which there is nothing.
pub(crate) const NOTHING: &str = "/mnt/nothing";
/// The bundle and the state of an OCI runtime, inside [`STAGE`]: in memory, gone with the namespace.
pub(crate) const OCI: &str = "/mnt/oci";
/// The command's root, inside [`STAGE`].
pub(crate) const ROOT: &str = "/mnt/root";
/// The host's `/usr` for the command, inside [`STAGE`].
pub(crate) const USR: &str = "/mnt/usr";
/// The command's `/tmp`, inside [`STAGE`].
pub(crate) const TMP: &str = "/mnt/tmp";
/// The overlay, inside [`STAGE`].
pub(crate) const WORKSPACE: &str = "/mnt/workspace";

/// The system call filter, a file of the staging folder.
pub(crate) const FILTER: &str = "seccomp.bpf";

/// Executes the command, inside.
pub(crate) const SHELL: [&str; 2] = ["/bin/sh", "-c"];
