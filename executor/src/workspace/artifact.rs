//! Opening a requested artifact beneath a workspace without ever touching what lies outside, whatever symlinks,
//! FIFOs or devices the run left under its name.
use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use schemas::artifact::ArtifactErrorCode;

use super::folder::ArtifactFolder;
use super::place::{normalize, open_place, reopen, shown};

/// The file or folder that a requested path names.
#[derive(Debug)]
pub enum Artifact {
    File(ArtifactFile),
    Folder(ArtifactFolder),
}

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
    #[error("{path} is {found}, neither a regular file nor a folder")]
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

/// Opens `requested` (relative to `/workspace`, or absolute beneath it), by way of symlinks within the workspace if
/// there are any. Never blocks. `workspace` may be `O_PATH`.
pub fn open_artifact(workspace: BorrowedFd<'_>, requested: &str) -> Result<Artifact, ArtifactError> {
    let path = normalize(requested).ok_or_else(|| ArtifactError::OutsideWorkspace { path: requested.to_owned() })?;
    let failed = |errno| failed(requested.to_owned(), errno);
    // O_PATH opens nothing: a FIFO is not waited for, a device not touched, until it is known to be a file.
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    let name = if path.is_empty() { "." } else { path.as_str() };
    let found =
        rustix::fs::openat2(workspace, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), beneath).map_err(failed)?;
    let stat = rustix::fs::fstat(&found).map_err(failed)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        let name = path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("workspace").to_owned();
        return Ok(Artifact::Folder(ArtifactFolder { place: found, stat, name }));
    }
    file(&found, requested.to_owned(), path).map(Artifact::File)
}

/// Opens a file that a pattern found: by this path alone, without any symlink.
pub fn open_match(workspace: BorrowedFd<'_>, path: &Path) -> Result<ArtifactFile, ArtifactError> {
    let found = open_place(workspace, path).map_err(|errno| failed(shown(path), errno))?;
    file(&found, shown(path), shown(path))
}

fn file(found: &OwnedFd, requested: String, path: String) -> Result<ArtifactFile, ArtifactError> {
    let stat = match rustix::fs::fstat(found) {
        Ok(stat) => stat,
        Err(errno) => return Err(failed(requested, errno)),
    };
    if let Some(found) = other_than_file(FileType::from_raw_mode(stat.st_mode)) {
        return Err(ArtifactError::NotAFile { path: requested, found });
    }
    let file = reopen(found).map_err(|errno| failed(requested, errno))?;
    Ok(ArtifactFile { file, size_bytes: u64::try_from(stat.st_size).unwrap_or(0), path })
}

fn failed(path: String, errno: Errno) -> ArtifactError {
    match errno {
        // A name that the file system cannot have is nobody's.
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => ArtifactError::NotFound { path },
        // What RESOLVE_BENEATH and RESOLVE_NO_XDEV answer.
        Errno::XDEV => ArtifactError::OutsideWorkspace { path },
        other => ArtifactError::Io { path, source: other.into() },
    }
}

fn other_than_file(kind: FileType) -> Option<&'static str> {
    match kind {
        FileType::RegularFile => None,
        FileType::Directory => Some("a directory"),
        FileType::Fifo => Some("a FIFO"),
        FileType::Socket => Some("a socket"),
        FileType::Symlink => Some("a symlink"),
        _ => Some("a device"),
    }
}
