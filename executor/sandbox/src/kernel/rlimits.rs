//! Resource limits of a sandbox's processes (getrlimit(2)) that are the same for every run.
use rustix::process::Resource;

/// Enough for any package manager, few enough that nobody's `close` loop over all of them takes seconds.
pub(crate) const MAX_OPEN_FILES: u64 = 65_536;
/// One byte is too small for a core file, and is the value for which the kernel skips a piped core handler, which would
/// run outside the sandbox.
pub(crate) const CORE_BYTES: u64 = 1;

/// `most`, or this process's own hard limit where that is lower: nobody without privilege can raise it.
pub(crate) fn at_most(resource: Resource, most: u64) -> u64 {
    rustix::process::getrlimit(resource).maximum.map_or(most, |hard| hard.min(most))
}
