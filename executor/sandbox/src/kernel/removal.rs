//! Removing a directory tree that a stranger shaped: symlinks are never followed, one descriptor is open at a time
//! whatever the depth (the standard library's recursion keeps one for each level), and nothing is created or renamed, so
//! that a full disk does not stop it.
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, SeekFrom};
use rustix::io::Errno;

/// Bytes of names that are read at a time. They are read again after each folder among them, so not too many.
const LISTED_BYTES: usize = 4096;

/// Removes `path` and everything in it; a path that does not exist is fine.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    remove_at_most(path, u64::MAX).map(|_| ())
}

/// [`remove_tree`] that gives up when there are more than `most` files and folders; says whether the tree is gone.
pub(crate) fn remove_at_most(path: &Path, most: u64) -> io::Result<bool> {
    let top = match open_directory(CWD, path) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(true),
        Err(error) => return Err(error.into()),
    };
    let mut walk = Walk { left: most, removed: 0 };
    loop {
        let removed = walk.removed;
        if !walk.empty(top.try_clone()?)? {
            return Ok(false);
        }
        match std::fs::remove_dir(path) {
            // Some file systems leave out names when others are removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && walk.removed > removed => {}
            removed => return removed.map(|()| true),
        }
    }
}

fn open_directory(at: impl AsFd, name: impl rustix::path::Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty())
}

/// A folder on the way from the top to the one that is open.
struct Place {
    device: u64,
    inode: u64,
    /// The position in the listing before which there is nothing left.
    position: u64,
    /// Number of removals when the folder was entered.
    removed: u64,
}

impl Place {
    fn of(folder: &OwnedFd, removed: u64) -> io::Result<Self> {
        let stat = rustix::fs::fstat(folder)?;
        Ok(Self { device: stat.st_dev, inode: stat.st_ino, position: 0, removed })
    }
}

/// The result of removing what is in a folder.
enum Cleared {
    /// Nothing is left in it.
    All,
    /// This folder in it is not empty.
    UpTo(OwnedFd),
    TooMany,
}

struct Walk {
    left: u64,
    removed: u64,
}

impl Walk {
    /// Removes everything in `top`. False if that is too much.
    fn empty(&mut self, top: OwnedFd) -> io::Result<bool> {
        let mut above: Vec<Place> = Vec::new();
        let (mut here, mut open) = (Place::of(&top, self.removed)?, top);
        loop {
            match self.clear(&open, &mut here.position)? {
                Cleared::TooMany => return Ok(false),
                Cleared::UpTo(child) => {
                    above.push(here);
                    (here, open) = (Place::of(&child, self.removed)?, child);
                }
                Cleared::All => {
                    let Some(parent) = above.pop() else { return Ok(true) };
                    // It was entered because it is not empty, and shows nothing that could be removed.
                    if here.removed == self.removed {
                        return Err(Errno::NOTEMPTY.into());
                    }
                    open = open_directory(&open, "..")?;
                    let found = Place::of(&open, 0)?;
                    if (found.device, found.inode) != (parent.device, parent.inode) {
                        return Err(io::Error::other("a folder was moved while it was removed"));
                    }
                    here = parent;
                }
            }
        }
    }

    /// Removes what is in a folder, from a position in its listing on, which is moved to the first folder that is not empty.
    fn clear(&mut self, folder: &OwnedFd, position: &mut u64) -> io::Result<Cleared> {
        rustix::fs::seek(folder, SeekFrom::Start(*position))?;
        let mut listed = [MaybeUninit::uninit(); LISTED_BYTES];
        let mut entries = RawDir::new(folder, &mut listed);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                if self.left == 0 {
                    return Ok(Cleared::TooMany);
                }
                if !remove(folder, name, entry.file_type())? {
                    return Ok(Cleared::UpTo(open_directory(folder, name)?));
                }
                self.removed += 1;
                self.left -= 1;
            }
            *position = entry.next_entry_cookie();
        }
        Ok(Cleared::All)
    }
}

/// False if it is a folder that is not empty.
fn remove(folder: &OwnedFd, name: &std::ffi::CStr, kind: FileType) -> io::Result<bool> {
    if kind != FileType::Directory {
        match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
            // Some file systems do not tell the type when listing.
            Err(Errno::ISDIR) => {}
            removed => return Ok(removed.map(|()| true)?),
        }
    }
    match rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        removed => Ok(removed.map(|()| true)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `victim`, with `depth` folders in each other, beside which are a file and a folder with a file each.
    fn deep(folder: &Path, depth: usize) -> std::path::PathBuf {
        let victim = folder.join("victim");
        std::fs::create_dir(&victim).unwrap();
        let mode = Mode::from_raw_mode(0o700);
        let file = |at: &OwnedFd| {
            rustix::fs::openat(at, "f", OFlags::CREATE | OFlags::WRONLY, Mode::empty()).unwrap();
        };
        let mut at = open_directory(CWD, &victim).unwrap();
        for _ in 0..depth {
            for name in ["d", "e"] {
                rustix::fs::mkdirat(&at, name, mode).unwrap();
            }
            file(&open_directory(&at, "e").unwrap());
            file(&at);
            at = open_directory(&at, "d").unwrap();
        }
        victim
    }

    #[test]
    fn removes_what_the_standard_library_would_choke_on() {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("kept");
        std::fs::create_dir(&kept).unwrap();
        std::fs::write(kept.join("file"), "x").unwrap();
        let victim = deep(folder.path(), 3000);
        std::os::unix::fs::symlink(&kept, victim.join("link")).unwrap();
        for number in 0..300 {
            std::fs::create_dir_all(victim.join(format!("{}{number}", "wide".repeat(40))).join("x")).unwrap();
        }
        remove_tree(&victim).unwrap();
        assert!(!victim.exists() && kept.join("file").exists());
        remove_tree(&victim).unwrap();
    }

    #[test]
    fn gives_up_where_it_is_told_to() {
        let folder = tempfile::tempdir().unwrap();
        // Each level has four: two folders and two files.
        let victim = deep(folder.path(), 50);
        assert!(!remove_at_most(&victim, 100).unwrap());
        assert!(!remove_at_most(&victim, 99).unwrap());
        assert!(!remove_at_most(&victim, 0).unwrap() && victim.exists());
        assert!(remove_at_most(&victim, 1).unwrap() && !victim.exists());
        assert!(remove_at_most(&victim, 0).unwrap());
    }
}
