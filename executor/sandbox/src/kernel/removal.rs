//! Removing a directory tree that a stranger shaped: symlinks are never followed, and neither stack nor open files
//! grow with its depth (the standard library's recursion keeps one descriptor per level).
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Deeper directories are moved up to the top and removed from there.
const MAX_DEPTH: usize = 64;

/// Removes `path` and everything in it; a path that does not exist is fine.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let top = match open_directory(CWD, path) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut moved_up = 0_u64;
    loop {
        let before = moved_up;
        empty(&top, &top, 0, &mut moved_up)?;
        if before == moved_up {
            break;
        }
    }
    std::fs::remove_dir(path)
}

fn open_directory(at: impl AsFd, name: impl rustix::path::Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty())
}

fn empty(directory: &OwnedFd, top: &OwnedFd, depth: usize, moved_up: &mut u64) -> io::Result<()> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        if entry.file_type() != FileType::Directory {
            match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
                // Some file systems do not tell the type when listing.
                Err(Errno::ISDIR) => {}
                other => {
                    other?;
                    continue;
                }
            }
        }
        match rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            other => {
                other?;
                continue;
            }
        }
        if depth == MAX_DEPTH {
            *moved_up += 1;
            // A name that is already taken at the top by the stranger gives another try with the next number.
            while let Err(error) = rustix::fs::renameat(directory, name, top, format!(".moved-up-{moved_up}")) {
                if !matches!(error, Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) {
                    return Err(error.into());
                }
                *moved_up += 1;
            }
            continue;
        }
        let child = open_directory(directory, name)?;
        empty(&child, top, depth + 1, moved_up)?;
        rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_what_the_standard_library_would_choke_on() {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("kept");
        std::fs::write(&kept, "x").unwrap();
        let victim = folder.path().join("victim");
        std::fs::create_dir(&victim).unwrap();
        std::os::unix::fs::symlink(&kept, victim.join("link")).unwrap();
        std::fs::write(victim.join(".moved-up-1"), "taken").unwrap();
        let mut at = open_directory(CWD, &victim).unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&at, "d", Mode::from_raw_mode(0o700)).unwrap();
            rustix::fs::openat(&at, "f", OFlags::CREATE | OFlags::WRONLY, Mode::empty()).unwrap();
            at = open_directory(&at, "d").unwrap();
        }
        remove_tree(&victim).unwrap();
        assert!(!victim.exists() && kept.exists());
        remove_tree(&victim).unwrap();
    }
}
