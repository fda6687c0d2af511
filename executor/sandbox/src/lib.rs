//! Runs a stranger's command in a sandbox (of bubblewrap or of an OCI runtime) on a copy-on-write view of a tree, and
//! reports what the kernel saw. This crate knows no archives, no network policy and none of CrowNest's services.
//!
//! Start reading at [`SandboxHost::start`], and follow a run through the two processes that set it up. The folder of a
//! file says in which of them its code runs:
//!
//! - `host/`: in the executor's process, with its threads. Nothing there forks or unshares.
//! - `helper/`: in the program `crownest-sandbox`, with one thread: a fork server, whose forks become one sandbox each.
//! - `protocol/`: what the two processes say to each other.
//! - `kernel/`: the mechanisms of Linux, one file each. Neither process is assumed.
//!
//! `host` and `helper` use `protocol` and `kernel`, and never each other; `protocol` uses `kernel`.
//!
//! Dependencies, and the reason for each:
//!
//! - `rustix`, `libc`: system calls, safe where rustix has a wrapper, raw where it has none
//! - `syscalls`: the numbers of system calls by name, for the filter
//! - `serde`, `serde_json`: bubblewrap's status, the configuration of OCI runtimes
//! - `tokio`: what the host offers is awaited; the helper does without
//! - `sha2`, `hex`: a control group's name, from the path of the work directory
//! - `thiserror`, `tracing`: errors and logs
mod host;
mod kernel;
mod protocol;

pub mod helper;

pub use host::SandboxHost;
pub use host::config::{DiskLimit, SandboxConfig};
pub use host::engine::EngineConfig;
pub use host::error::{CleanupError, SandboxError};
pub use host::sandbox::{Exit, Finished, Sandbox};
pub use host::spec::{Root, SandboxSpec};
pub use host::view::HOME_PROGRAMS;
pub use kernel::cgroup::{Limits, ResourceUsage};
pub use kernel::disk::{DiskUsage, Kept};
pub use kernel::removal::remove_tree;
pub use kernel::rootless;
pub use protocol::request::Network;
