//! Disk usage of a stranger's folders, counted while the stranger may go on: never following a symlink, with
//! neither stack nor open files growing with depth, and no further than to a limit.
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags};

/// Paths that would be longer than the kernel takes go on from an open folder.
const LONGEST_PATH: usize = 3000;
/// The block of `stat(2)`, whatever the file system's own blocks are.
const BLOCK_BYTES: u64 = 512;

/// A sum that stops counting beyond what matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) bytes: u64,
    pub(super) files: u64,
}

/// A folder to look into.
#[derive(Debug)]
struct Folder {
    /// The folder at which its path begins, if that is not its parent's.
    start: Option<OwnedFd>,
    parent: Option<Rc<Folder>>,
    name: OsString,
    path_bytes: usize,
}

impl Folder {
    fn open(&self) -> rustix::io::Result<OwnedFd> {
        let (mut names, mut at) = (Vec::new(), self);
        while let Some(parent) = &at.parent {
            names.push(&*at.name);
            at = parent;
        }
        let path: PathBuf = names.into_iter().rev().collect();
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { &path };
        let Some(start) = &at.start else { return Err(rustix::io::Errno::BADF) };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        rustix::fs::openat2(start, path, flags, Mode::empty(), beneath)
    }

    /// A folder at which paths begin.
    fn anchored(folder: OwnedFd) -> Rc<Self> {
        Rc::new(Self { start: Some(folder), parent: None, name: OsString::new(), path_bytes: 0 })
    }
}

/// Counts until one of the sums is above its limit. A folder that somebody moves meanwhile may be missed.
pub(super) fn usage(folders: &[PathBuf], most: Usage) -> io::Result<Usage> {
    let mut sum = Usage { bytes: 0, files: 0 };
    // Files with several names, of which each has the same content.
    let mut known = HashSet::new();
    let mut pending = Vec::new();
    for folder in folders {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        pending.push(Folder::anchored(rustix::fs::openat(CWD, folder, flags, Mode::empty())?));
    }
    while let Some(place) = pending.pop() {
        // It is gone, or something else by now.
        let Ok(open) = place.open() else { continue };
        let Ok(entries) = Dir::read_from(&open) else { continue };
        let mut parent = place;
        if parent.path_bytes > LONGEST_PATH {
            parent = Folder::anchored(open.try_clone()?);
        }
        for entry in entries {
            let Ok(entry) = entry else { break };
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let Ok(stat) = rustix::fs::statat(&open, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            if !is_folder && stat.st_nlink > 1 && !known.insert(stat.st_ino) {
                continue;
            }
            sum.files += 1;
            sum.bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * BLOCK_BYTES;
            if sum.bytes > most.bytes || sum.files > most.files {
                return Ok(sum);
            }
            if is_folder {
                let name = OsStr::from_bytes(name.to_bytes()).to_owned();
                let path_bytes = parent.path_bytes + 1 + name.len();
                pending.push(Rc::new(Folder { start: None, parent: Some(Rc::clone(&parent)), name, path_bytes }));
            }
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_LIMIT: Usage = Usage { bytes: u64::MAX, files: u64::MAX };

    #[test]
    fn counts_each_file_once_and_follows_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("large"), vec![1; 1 << 20]).unwrap();
        let inside = folder.path().join("a/b");
        std::fs::create_dir_all(&inside).unwrap();
        std::fs::write(inside.join("file"), vec![1; 100_000]).unwrap();
        std::fs::hard_link(inside.join("file"), folder.path().join("again")).unwrap();
        std::os::unix::fs::symlink(outside.path(), inside.join("link")).unwrap();
        let sum = usage(&[folder.path().to_owned()], NO_LIMIT).unwrap();
        assert_eq!(sum.files, 4, "two folders, a file and a link");
        assert!((100_000..200_000).contains(&sum.bytes), "{sum:?}");
        let stopped = usage(&[folder.path().to_owned()], Usage { bytes: u64::MAX, files: 2 }).unwrap();
        assert_eq!(stopped.files, 3);
        let stopped = usage(&[folder.path().to_owned()], Usage { bytes: 0, files: u64::MAX }).unwrap();
        assert!(stopped.bytes > 0 && stopped.files < 4, "{stopped:?}");
    }

    #[test]
    fn finds_what_is_deeper_than_a_path_can_be_long() {
        let folder = tempfile::tempdir().unwrap();
        let name = "d".repeat(200);
        let mut at = rustix::fs::open(folder.path(), OFlags::PATH, Mode::empty()).unwrap();
        for _ in 0..50 {
            rustix::fs::mkdirat(&at, &name, Mode::from_raw_mode(0o755)).unwrap();
            at = rustix::fs::openat(&at, &name, OFlags::PATH, Mode::empty()).unwrap();
        }
        rustix::fs::openat(&at, "file", OFlags::CREATE | OFlags::WRONLY, Mode::from_raw_mode(0o644)).unwrap();
        assert_eq!(usage(&[folder.path().to_owned()], NO_LIMIT).unwrap().files, 51);
        drop(at);
        crate::kernel::removal::remove_tree(folder.path()).unwrap();
    }
}
