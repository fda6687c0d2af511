//! The resources that a run used, as the kernel counts them, and the kernel's small text formats.
use std::fs;
use std::path::Path;

/// `None` where this kernel does not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResourceUsage {
    pub cpu_user_ms: Option<u64>,
    pub cpu_system_ms: Option<u64>,
    /// Time for which the CPU limit held back runnable processes, summed over the processors.
    pub cpu_throttled_ms: Option<u64>,
    /// Includes page cache and tmpfs.
    pub memory_peak_bytes: Option<u64>,
    pub io_read_bytes: Option<u64>,
    pub io_write_bytes: Option<u64>,
    /// Processes and threads at the same time, without the sandbox's own.
    pub pids_peak: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Accounting {
    pub(crate) usage: ResourceUsage,
    /// Processes killed by the kernel because the group was out of memory.
    pub(crate) oom_kills: u64,
}

/// A file with one number.
pub(super) fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// `key` in a file of `key value` lines.
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_whole_keys_only() {
        let text = "oom 3\noom_kill 2\n";
        assert_eq!(keyed(text, "oom"), Some(3));
        assert_eq!(keyed(text, "oom_kill"), Some(2));
        assert_eq!(keyed(text, "oom_"), None);
    }
}
