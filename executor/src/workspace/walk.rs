//! Walking a stranger's directory tree: in a stable order, never following a symlink, and with an end to everything
//! that could have none.
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use schemas::limits::PATH_BYTES;

use super::place::{open_place, shown};

/// Levels of folders; each costs an open descriptor while it is walked.
const MAX_DEPTH: usize = 128;

/// The entries that the walks for all requests of a run may look at together, and a flag that ends them.
#[derive(Debug)]
pub struct Budget {
    entries: u32,
    stopped: Arc<AtomicBool>,
}

impl Budget {
    pub const ENTRIES: u32 = 100_000;

    pub fn of(entries: u32) -> Self {
        Self { entries, stopped: Arc::default() }
    }

    /// The same budget for a walk that ends when `stopped` becomes true.
    #[must_use]
    pub fn until(self, stopped: Arc<AtomicBool>) -> Self {
        Self { stopped, ..self }
    }

    fn spend(&mut self) -> Result<(), WalkError> {
        self.entries = self.entries.checked_sub(1).ok_or(WalkError::TooManyEntries)?;
        self.check()
    }

    fn check(&self) -> Result<(), WalkError> {
        if self.stopped.load(Ordering::Relaxed) { Err(WalkError::Stopped) } else { Ok(()) }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::of(Self::ENTRIES)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    #[error("there is more to look at than the {} entries that a run's artifacts may have", Budget::ENTRIES)]
    TooManyEntries,
    #[error("{path} is deeper than {MAX_DEPTH} folders")]
    TooDeep { path: String },
    #[error("there is a path of more than {PATH_BYTES} bytes in {folder}")]
    PathTooLong { folder: String },
    #[error("more files match than the {limit} artifacts that the run may still have; the first ones are there")]
    TooManyMatches { limit: usize },
    #[error("looking for files took longer than {seconds} s")]
    TooSlow { seconds: u64 },
    #[error("the content is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("{path} cannot be read: {source}")]
    Io { path: String, source: io::Error },
    #[error("writing: {0}")]
    Write(io::Error),
    #[error("nobody waits for the result any more")]
    Stopped,
}

/// Something in a folder, opened as a place and not yet for reading.
#[derive(Debug)]
pub(super) struct Entry {
    pub place: OwnedFd,
    pub stat: Stat,
    pub kind: FileType,
}

/// Levels of folders to descend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    All,
    /// Folders below this many levels are not visited.
    Levels(usize),
}

/// Visits everything below `folder` (a place), each folder before its content and siblings by the bytes of their
/// names. Paths begin with `path`.
pub(super) fn walk(
    folder: BorrowedFd<'_>,
    path: &Path,
    depth: Depth,
    budget: &mut Budget,
    visit: &mut impl FnMut(&Path, &Entry) -> Result<(), WalkError>,
) -> Result<(), WalkError> {
    descend(folder, path, 1, depth, budget, visit)
}

fn descend(
    folder: BorrowedFd<'_>,
    path: &Path,
    level: usize,
    depth: Depth,
    budget: &mut Budget,
    visit: &mut impl FnMut(&Path, &Entry) -> Result<(), WalkError>,
) -> Result<(), WalkError> {
    if level > MAX_DEPTH {
        return Err(WalkError::TooDeep { path: shown(path) });
    }
    for name in names(folder, path, budget)? {
        let child = path.join(OsStr::from_bytes(name.as_bytes()));
        if child.as_os_str().len() > PATH_BYTES {
            return Err(WalkError::PathTooLong { folder: shown(path) });
        }
        let entry = match entry(folder, &name) {
            Ok(entry) => entry,
            // Gone since it was listed.
            Err(Errno::NOENT) => continue,
            Err(errno) => return Err(failed(&child, errno)),
        };
        budget.check()?;
        visit(&child, &entry)?;
        let further = depth == Depth::All || depth != Depth::Levels(level);
        if entry.kind == FileType::Directory && further {
            descend(entry.place.as_fd(), &child, level + 1, depth, budget, visit)?;
        }
    }
    Ok(())
}

fn entry(folder: BorrowedFd<'_>, name: &CString) -> rustix::io::Result<Entry> {
    let place = open_place(folder, name.as_c_str())?;
    let stat = rustix::fs::fstat(&place)?;
    Ok(Entry { place, stat, kind: FileType::from_raw_mode(stat.st_mode) })
}

fn names(folder: BorrowedFd<'_>, path: &Path, budget: &mut Budget) -> Result<Vec<CString>, WalkError> {
    let failed = |errno| failed(path, errno);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let listing = rustix::fs::openat(folder, c".", flags, Mode::empty()).map_err(failed)?;
    let mut names = Vec::new();
    for listed in Dir::new(listing).map_err(failed)? {
        let listed = listed.map_err(failed)?;
        let name = listed.file_name();
        if name != c"." && name != c".." {
            budget.spend()?;
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn failed(path: &Path, errno: Errno) -> WalkError {
    WalkError::Io { path: shown(path), source: errno.into() }
}
