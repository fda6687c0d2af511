//! Mechanisms of Linux, one file each, for whichever of the two processes needs them.
pub(crate) mod cgroup;
pub(crate) mod disk;
pub(crate) mod fork;
pub(crate) mod idmap;
pub(crate) mod landlock;
pub(crate) mod mounts;
pub(crate) mod namespaces;
pub(crate) mod process;
pub(crate) mod removal;
pub(crate) mod rlimits;
pub mod rootless;
pub(crate) mod seccomp;
pub(crate) mod users;
