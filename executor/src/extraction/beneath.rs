//! Creating files beneath a directory, and nowhere else: every path is resolved by the kernel with
//! `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`, and every object is created exclusively under a single name.
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;

use super::links::points_outside;

/// A directory that a path was resolved to, and the name that is left.
pub(super) struct Beneath<'a> {
    root: BorrowedFd<'a>,
    /// The owner of everything that is created, if not the calling user.
    owner: Option<(Uid, Gid)>,
    /// Archives list the files of a folder one after the other: most lookups are for the same parent.
    parent: Option<(PathBuf, OwnedFd)>,
    /// Number of folders that were made because a path leads through them.
    implied: u64,
}

/// The reason why something was not created.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The archive contradicts itself or tries to leave.
    Because(&'static str),
    Io(Errno),
}

/// Errors that depend on the archive alone are its fault. No space, memory or descriptor is ours.
impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::LOOP => Self::Because("its path leads through a symlink"),
            Errno::XDEV => Self::Because("its path leads out of the archive"),
            Errno::NOTDIR => Self::Because("its path leads through something that is not a folder"),
            Errno::NAMETOOLONG => Self::Because("its name is too long for the file system"),
            Errno::INVAL | Errno::ILSEQ => Self::Because("the file system does not take its name, size or time"),
            Errno::MLINK => {
                Self::Because("it is one hard link, or one folder in a folder, more than the file system has")
            }
            Errno::FBIG | Errno::OVERFLOW => Self::Because("its size or time is more than the file system has"),
            other => Self::Io(other),
        }
    }
}

const CONFLICT: Refusal = Refusal::Because("the archive has the same path with another type");

impl<'a> Beneath<'a> {
    pub(super) fn new(root: BorrowedFd<'a>, owner: Option<u32>) -> Self {
        let owner = owner.map(|id| (Uid::from_raw(id), Gid::from_raw(id)));
        Self { root, owner, parent: None, implied: 0 }
    }

    /// Number of folders that no entry has asked for.
    pub(super) fn implied(&self) -> u64 {
        self.implied
    }

    pub(super) fn directory(&mut self, path: &Path, mode: Mode) -> Result<(), Refusal> {
        let owner = self.owner;
        let (parent, name) = self.parent_of(path)?;
        match rustix::fs::mkdirat(parent, name, mode) {
            Err(Errno::EXIST) if kind(parent, name)? == FileType::Directory => {
                // Made implicitly by an earlier entry, or listed twice: this entry knows the mode.
                let directory = open_directory(parent, Path::new(name))?;
                Ok(rustix::fs::chmodat(directory, c".", mode, AtFlags::empty())?)
            }
            Err(Errno::EXIST) => Err(CONFLICT),
            other => {
                other?;
                give(parent, name, owner)?;
                // Once more: what was asked for is under the umask.
                Ok(rustix::fs::chmodat(parent, name, mode, AtFlags::empty())?)
            }
        }
    }

    /// An empty new file; a regular file of the same name is replaced, as later entries do in tar.
    pub(super) fn file(&mut self, path: &Path, mode: Mode) -> Result<File, Refusal> {
        let owner = self.owner;
        let (parent, name) = self.parent_of(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let create = || rustix::fs::openat(parent, name, flags, mode);
        let file = replacing(parent, name, FileType::RegularFile, create)?;
        if let Some((uid, gid)) = owner {
            rustix::fs::fchown(&file, Some(uid), Some(gid))?;
        }
        rustix::fs::fchmod(&file, mode)?;
        Ok(File::from(file))
    }

    pub(super) fn symlink(&mut self, path: &Path, target: &OsStr) -> Result<(), Refusal> {
        let owner = self.owner;
        let (parent, name) = self.parent_of(path)?;
        replacing(parent, name, FileType::Symlink, || rustix::fs::symlinkat(target, parent, name))?;
        Ok(give(parent, name, owner)?)
    }

    /// `existing` must be a regular file or a symlink that this archive has put beneath the root.
    pub(super) fn hard_link(&mut self, path: &Path, existing: &Path) -> Result<(), Refusal> {
        const MISSING: Refusal = Refusal::Because("a hard link must point to an earlier file of the archive");
        let missing = |refusal| if matches!(refusal, Refusal::Io(Errno::NOENT)) { MISSING } else { refusal };
        let source_parent = existing.parent().filter(|parent| !parent.as_os_str().is_empty());
        let source_parent = match source_parent {
            Some(parent) => open_directory(self.root, parent).map_err(Refusal::from).map_err(missing)?,
            None => rustix::io::dup(self.root)?,
        };
        let source = existing.file_name().ok_or(MISSING)?;
        let kind = kind(source_parent.as_fd(), source).map_err(missing)?;
        match kind {
            FileType::RegularFile => {}
            // What is inside from there may be outside from here.
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&source_parent, source, Vec::new())?;
                if points_outside(path, OsStr::from_bytes(target.to_bytes())) {
                    return Err(Refusal::Because("a hard link to a symlink points outside of the archive"));
                }
            }
            _ => return Err(MISSING),
        }
        if path == existing {
            return Ok(());
        }
        let (parent, name) = self.parent_of(path)?;
        // Does not follow a symlink.
        let link = || rustix::fs::linkat(&source_parent, source, parent, name, AtFlags::empty());
        replacing(parent, name, kind, link)
    }

    /// Opens (and where missing makes) the folder that `path` is in.
    fn parent_of<'p>(&mut self, path: &'p Path) -> Result<(BorrowedFd<'_>, &'p OsStr), Refusal> {
        let name = path.file_name().ok_or(Refusal::Because("its path has no name"))?;
        let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
            return Ok((self.root, name));
        };
        if self.parent.as_ref().is_none_or(|(open, _)| open != folder) {
            let opened = match open_directory(self.root, folder) {
                Err(Errno::NOENT) => self.make_all(folder)?,
                other => other?,
            };
            self.parent = Some((folder.to_owned(), opened));
        }
        match &self.parent {
            Some((_, parent)) => Ok((parent.as_fd(), name)),
            None => Ok((self.root, name)),
        }
    }

    fn make_all(&mut self, folder: &Path) -> Result<OwnedFd, Refusal> {
        let mut at = rustix::io::dup(self.root)?;
        for name in folder.iter().map(OsString::from) {
            match rustix::fs::mkdirat(&at, &name, Mode::from_raw_mode(0o755)) {
                Ok(()) => {
                    self.implied += 1;
                    give(at.as_fd(), &name, self.owner)?;
                }
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            at = open_directory(at.as_fd(), Path::new(&name))?;
        }
        Ok(at)
    }
}

fn open_directory(at: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<OwnedFd> {
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(at, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), beneath)
}

/// Changes the owner of `name`; a symlink is not followed.
fn give(parent: BorrowedFd<'_>, name: &OsStr, owner: Option<(Uid, Gid)>) -> rustix::io::Result<()> {
    let Some((uid, gid)) = owner else { return Ok(()) };
    rustix::fs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
}

fn kind(parent: BorrowedFd<'_>, name: &OsStr) -> Result<FileType, Refusal> {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

/// Creates; if the name is taken by something of the same type, removes that and creates again.
fn replacing<T>(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    expected: FileType,
    create: impl Fn() -> rustix::io::Result<T>,
) -> Result<T, Refusal> {
    match create() {
        Err(Errno::EXIST) if kind(parent, name)? == expected => {
            rustix::fs::unlinkat(parent, name, AtFlags::empty())?;
            Ok(create()?)
        }
        Err(Errno::EXIST) => Err(CONFLICT),
        other => Ok(other?),
    }
}
