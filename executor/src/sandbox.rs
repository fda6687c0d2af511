//! Runs a stranger's command in a sandbox (of bubblewrap or an OCI runtime) on a copy-on-write view of a cached tree, and says what the
//! kernel saw. Nothing here forks or unshares: the helper program `crownest-sandbox` ([`init`]) does that.
mod cgroup;
mod config;
mod control;
mod disk;
mod engine;
mod error;
mod host;
mod idmap;
pub mod init;
mod init_mounts;
mod init_network;
mod init_oci;
mod landlock;
mod launch;
mod locate;
mod lower;
mod process;
mod ready;
mod remains;
mod request;
mod rootfs;
mod running;
mod seccomp;
mod spawner;
mod status;
mod view;

pub use cgroup::ResourceUsage;
pub use config::{DiskLimit, Limits, Network, Root, SandboxConfig, SandboxSpec};
pub use disk::DiskUsage;
pub use engine::EngineConfig;
pub use error::SandboxError;
pub use host::SandboxHost;
pub use remains::CleanupError;
pub use running::{Exit, Finished, Sandbox};
pub use view::HOME_PROGRAMS;
