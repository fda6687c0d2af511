//! Landlock (landlock(7)): the last rights that a command loses, when all mounts are made. That takes a program inside
//! of the sandbox, `landlock/program.rs`, which the helper hands to bubblewrap as an open file.
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags};

/// Compiled by `build.rs`.
const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/landlock"));

/// The program as a sealed memfd, to be executed through `/proc/self/fd`.
pub(crate) fn program() -> io::Result<OwnedFd> {
    let file = rustix::fs::memfd_create("landlock", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    if rustix::io::write(&file, PROGRAM)? != PROGRAM.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    rustix::fs::fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file)
}

/// The version of Landlock in this kernel; `None` for no Landlock.
pub(crate) fn version() -> Option<i64> {
    const VERSION: u32 = 1;
    // SAFETY: with this flag and no attributes, the call only answers a number.
    #[expect(unsafe_code, reason = "landlock_create_ruleset has no wrapper in rustix or libc")]
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<libc::c_void>(), 0, VERSION) };
    (version > 0).then_some(version)
}
