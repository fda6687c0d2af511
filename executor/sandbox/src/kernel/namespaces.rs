//! Leaving a namespace for a new one (unshare(2)).
use std::io;

use rustix::thread::UnshareFlags;

/// Only for a process with one thread: namespaces belong to threads.
pub(crate) fn unshare(namespaces: UnshareFlags) -> io::Result<()> {
    debug_assert!(!namespaces.contains(UnshareFlags::FILES), "descriptors are not a namespace");
    // SAFETY: only `UnshareFlags::FILES` has requirements, and it is not used.
    #[expect(unsafe_code, reason = "unshare")]
    Ok(unsafe { rustix::thread::unshare_unsafe(namespaces) }?)
}
