//! What an operator configures once per host, and what a caller asks for each run.
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};

use super::engine::EngineConfig;

/// One per executor process. Two executors on one machine need different `work_dir` and `uid_base`.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// Run directories and the lock file live here; must be on a file system that overlayfs accepts as an upper layer
    /// (ext4, xfs, btrfs), the same machine-local disk as the extraction cache being the usual choice.
    pub work_dir: PathBuf,
    /// `crownest-sandbox`; looked for next to the current executable (and one folder up) if `None`.
    pub helper_path: Option<PathBuf>,
    pub engine: EngineConfig,
    /// Slot `n` runs as uid and gid `uid_base + n`, of the machine or, if this process has [entered] one, of its user
    /// namespace; an OCI runtime of it has these plus 100,000 and 200,000. Nothing else may use these ids. `None` for
    /// the default, which in a user namespace is what no other executor of the same user has.
    ///
    /// [entered]: super::rootless::enter
    pub uid_base: Option<u32>,
    /// How many slots are meant to be used: there must be an id for each.
    pub slots: u32,
    pub disk: DiskLimit,
    /// Control group under which this host makes its own, relative to the mount point of each controller or, in a user
    /// namespace, to the group that this process is in.
    pub cgroup_parent: PathBuf,
}

impl SandboxConfig {
    /// The defaults of an executor that has the machine to itself.
    pub fn new(work_dir: impl Into<PathBuf>) -> Self {
        Self {
            work_dir: work_dir.into(),
            helper_path: None,
            engine: EngineConfig::default(),
            uid_base: None,
            slots: 1,
            disk: DiskLimit::None,
            cgroup_parent: PathBuf::from("crownest"),
        }
    }
}

/// What a run may write to `/workspace` and `/tmp` together, in bytes, and as many files as fit at 16 KiB each. Needs loop devices and
/// mkfs.ext4; in a user namespace, where there are none, it is kept by measuring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskLimit {
    /// The free space of the work directory.
    None,
    Bytes(u64),
    /// None, with a warning, on a machine that cannot enforce it.
    WherePossible(u64),
}

/// One command to run. Everything in it may come from a stranger, except `lower` and `root`.
#[derive(Clone, Copy)]
pub struct SandboxSpec<'a> {
    /// Unique among the runs of this host, e.g. run id and attempt; names the run directory and the control group.
    /// 1 to 128 characters of `[A-Za-z0-9_-]`.
    pub label: &'a str,
    /// Chooses the uid; a slot runs one sandbox at a time.
    pub slot: u32,
    /// The extracted archive, owned by root or by [whom the slot needs](super::SandboxHost::tree_owner). Shown as the
    /// initial content of `/workspace`, never written.
    pub lower: &'a Path,
    pub root: Root<'a>,
    /// Shell command, up to 128 KiB, without NUL.
    pub command: &'a OsStr,
    /// Added to (and overriding) the base environment; never visible in a process list.
    pub env: &'a [(OsString, OsString)],
    pub limits: Limits,
    pub network: Network,
}

/// What the command finds at `/`, read-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root<'a> {
    /// The host's `/usr`, and an `/etc` made for the purpose.
    Host,
    /// A whole root file system, owned by root, on the file system of the work directory. It has a `/bin/sh` and the
    /// folders `/dev`, `/home/runner`, `/proc`, `/tmp` and `/workspace`, on which the sandbox mounts its own.
    Tree(&'a Path),
}

/// What the command's own network namespace has, beside loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    Nothing,
    /// A listening socket, which the executor holds ([`Sandbox::take_listener`](super::Sandbox::take_listener)). Its
    /// address is in the environment of the command.
    Proxy,
}

/// Where an egress proxy listens, inside.
pub(super) const PROXY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 3128);

impl fmt::Debug for SandboxSpec<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No values of the environment.
        f.debug_struct("SandboxSpec").field("label", &self.label).field("slot", &self.slot).finish_non_exhaustive()
    }
}

/// Enforced by the kernel's control groups for everything in the sandbox together.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Memory of processes, page cache and tmpfs files; swap is not available on top.
    pub memory_bytes: u64,
    /// Processes and threads of the command (the sandbox's own two come on top).
    pub pids: u32,
    /// 1000 is one core.
    pub cpu_millis: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_bytes: 2 << 30, pids: 1024, cpu_millis: 2000 }
    }
}
