//! A fork whose child is held by a pidfd, and may be a child of the caller's parent (clone(2)).
use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};

/// With `CLONE_PARENT` a child of the *executor*. Returns its pid and a handle, and in the child itself `None`.
pub(crate) fn fork(flags: libc::c_int) -> io::Result<Option<(i32, OwnedFd)>> {
    let mut handle: RawFd = -1;
    let flags = flags | libc::CLONE_PIDFD | libc::SIGCHLD;
    // SAFETY: without CLONE_VM this is fork(2), in a process with one thread. The kernel writes the handle, a
    // descriptor of this process that nobody else owns, before it returns a positive pid.
    #[expect(unsafe_code, reason = "the fork of libc knows neither CLONE_PARENT nor CLONE_PIDFD")]
    unsafe {
        match libc::syscall(libc::SYS_clone, flags, 0, &raw mut handle, 0, 0) {
            0 => Ok(None),
            pid if pid > 0 => {
                let handle = OwnedFd::from_raw_fd(handle);
                Ok(Some((i32::try_from(pid).map_err(io::Error::other)?, handle)))
            }
            _ => Err(io::Error::last_os_error()),
        }
    }
}
