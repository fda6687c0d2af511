//! The limits of one group, in the words of the callers of this crate.

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

/// The share of a group's limit that the sandbox's own processes take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Overhead {
    pub(crate) pids: u32,
    /// Processes and threads of the host for one of the command's.
    pub(crate) pids_for_each: u32,
    /// The numbers above are exact, so that they can be subtracted from the kernel's counters.
    pub(crate) is_exact: bool,
}
