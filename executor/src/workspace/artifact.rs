//! Opening a requested artifact beneath a workspace without ever touching what lies outside, whatever symlinks,
//! FIFOs or devices the run left under its name.
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use schemas::event::ArtifactErrorCode;

/// Where the run saw its workspace.
const MOUNT_POINT: &str = "/workspace";

/// A regular file of the workspace, opened for reading at its start.
#[derive(Debug)]
pub struct ArtifactFile {
    pub file: File,
    pub size_bytes: u64,
    /// Relative to the workspace, without `.` and `..`.
    pub path: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    #[error("{path} leads outside of /workspace")]
    OutsideWorkspace { path: String },
    #[error("{path} does not exist in /workspace")]
    NotFound { path: String },
    #[error("{path} is {found}, not a regular file")]
    NotAFile { path: String, found: &'static str },
    #[error("{path} cannot be read: {source}")]
    Io { path: String, source: io::Error },
}

impl ArtifactError {
    /// The contract's artifact error code.
    pub fn code(&self) -> ArtifactErrorCode {
        match self {
            Self::OutsideWorkspace { .. } => ArtifactErrorCode::PathOutsideWorkspace,
            Self::NotFound { .. } => ArtifactErrorCode::FileNotFound,
            Self::NotAFile { .. } | Self::Io { .. } => ArtifactErrorCode::ArtifactCollectFailed,
        }
    }
}

/// Opens `requested` (relative to `/workspace`, or absolute beneath it). Never blocks. `workspace` may be `O_PATH`.
pub fn open_artifact(workspace: BorrowedFd<'_>, requested: &str) -> Result<ArtifactFile, ArtifactError> {
    let path = normalize(requested).ok_or_else(|| ArtifactError::OutsideWorkspace { path: requested.to_owned() })?;
    let failed = |errno: Errno| {
        let path = requested.to_owned();
        match errno {
            Errno::NOENT | Errno::NOTDIR => ArtifactError::NotFound { path },
            // What RESOLVE_BENEATH and RESOLVE_NO_XDEV answer.
            Errno::XDEV => ArtifactError::OutsideWorkspace { path },
            other => ArtifactError::Io { path, source: other.into() },
        }
    };
    // O_PATH opens nothing: a FIFO is not waited for, a device not touched, until it is known to be a file.
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    let name = if path.is_empty() { "." } else { path.as_str() };
    let found =
        rustix::fs::openat2(workspace, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), beneath).map_err(failed)?;
    let stat = rustix::fs::fstat(&found).map_err(failed)?;
    let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
    if let Some(found) = other_than_file(kind) {
        return Err(ArtifactError::NotAFile { path: requested.to_owned(), found });
    }
    let file = reopen(&found).map_err(failed)?;
    Ok(ArtifactFile { file, size_bytes: u64::try_from(stat.st_size).unwrap_or(0), path })
}

/// Opens exactly the inode that was looked at; going through the name again might find another one.
fn reopen(found: &OwnedFd) -> rustix::io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(format!("/proc/self/fd/{}", found.as_raw_fd()), flags, Mode::empty())?;
    Ok(File::from(fd))
}

fn other_than_file(kind: rustix::fs::FileType) -> Option<&'static str> {
    use rustix::fs::FileType;
    match kind {
        FileType::RegularFile => None,
        FileType::Directory => Some("a directory"),
        FileType::Fifo => Some("a FIFO"),
        FileType::Socket => Some("a socket"),
        FileType::Symlink => Some("a symlink"),
        _ => Some("a device"),
    }
}

/// Lexically: `None` if the path leaves the workspace, or cannot name a file at all.
fn normalize(requested: &str) -> Option<String> {
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
