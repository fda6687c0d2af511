//! The configuration of a host: what an operator decides once per executor.
use std::path::PathBuf;

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
    /// [entered]: crate::rootless::enter
    pub uid_base: Option<u32>,
    /// Number of slots: there must be an id for each.
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
