//! The messages of one helper and the executor, in the order in which they are sent.

/// Helper: it waits for a run, or it has a user namespace that can be mapped now.
pub(crate) const READY: &[u8] = b"ready";
/// Executor: set up a sandbox. Comes with the descriptors of the request, the cached tree, the engine's instructions,
/// the status pipe and, for an OCI runtime, the slot's user namespace.
pub(crate) const RUN: &[u8] = b"run";
/// Helper: the mounts exist. Comes with the workspace and, with egress, the listening socket.
pub(crate) const MOUNTED: &[u8] = b"mounted";
/// Helper: an OCI sandbox's pid 1 exists. (bubblewrap says this by closing the socket when it is executed.)
pub(crate) const STARTED: &[u8] = b"started";
/// Executor: ask the command to end, which only the OCI runtime of a guest can do.
pub(crate) const TERMINATE: &[u8] = b"terminate";
