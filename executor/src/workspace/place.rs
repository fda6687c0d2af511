//! Paths of a workspace, and places: files and folders that were found beneath it and are not yet open for reading.
use std::fs::File;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};

/// The path at which the run saw its workspace.
const MOUNT_POINT: &str = "/workspace";

/// Opens a place without following a symlink anywhere, also not as the last component: that is then the place.
pub(super) fn open_place(at: BorrowedFd<'_>, path: impl rustix::path::Arg) -> rustix::io::Result<OwnedFd> {
    let beneath =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(at, path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty(), beneath)
}

/// Opens exactly the inode that was looked at; going through the name again might find another one.
pub(super) fn reopen(found: &OwnedFd) -> rustix::io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(format!("/proc/self/fd/{}", found.as_raw_fd()), flags, Mode::empty())?;
    Ok(File::from(fd))
}

/// The path as text, for messages and records.
pub(super) fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Normalizes a path lexically; `None` if it leaves the workspace, or cannot name a file at all.
pub fn normalize(requested: &str) -> Option<String> {
    let relative = match requested.strip_prefix(MOUNT_POINT) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest.trim_start_matches('/'),
        _ if requested.starts_with('/') => return None,
        _ => requested,
    };
    if relative.contains('\0') {
        return None;
    }
    let mut components = Vec::new();
    for component in relative.split('/') {
        match component {
            "" | "." => {}
            ".." => {
                components.pop()?;
            }
            name => components.push(name),
        }
    }
    Some(components.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalizes() {
        for (requested, expected) in [
            ("a/b", Some("a/b")),
            ("./a//b/", Some("a/b")),
            ("a/../b", Some("b")),
            ("/workspace/a", Some("a")),
            ("/workspace", Some("")),
            ("/workspace//a/../c", Some("c")),
            ("/workspaces/a", None),
            ("/etc/passwd", None),
            ("../a", None),
            ("a/../../b", None),
            ("/workspace/../etc/passwd", None),
            ("a\0b", None),
        ] {
            assert_eq!(normalize(requested).as_deref(), expected, "{requested:?}");
        }
    }
}
