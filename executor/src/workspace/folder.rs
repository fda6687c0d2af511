//! A requested folder as a tar that depends on nothing but the folder's content: names, kinds, permissions and bytes.
use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat};
use tar::{Builder, EntryType, Header};

use super::place::{reopen, shown};
use super::walk::{Budget, Depth, Entry, WalkError, walk};

/// A folder of the workspace, opened as a place.
#[derive(Debug)]
pub struct ArtifactFolder {
    pub(super) place: OwnedFd,
    pub(super) stat: Stat,
    /// The first name of every path in the tar.
    pub name: String,
}

/// Counts of the folder's entries that the tar lacks or has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// FIFOs, sockets and devices.
    pub specials: u64,
    /// Files that were not as long as they should have been, or could not be read to their end: cut, or filled with
    /// zeros.
    pub changed: u64,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { specials, changed } = self;
        match (specials, changed) {
            (_, 0) => write!(f, "collected without its FIFOs, sockets and devices: {specials}"),
            (0, _) => write!(f, "collected, but files that changed meanwhile are cut or filled with zeros: {changed}"),
            _ => write!(
                f,
                "collected without its FIFOs, sockets and devices: {specials}; files that changed meanwhile are cut or \
                 filled with zeros: {changed}"
            ),
        }
    }
}

/// Writes the tar: sorted by name; owner 0, time 0. Symlinks are stored as symlinks, hard links as files of their own. Fails
/// as soon as the files seen so far have more than `limit` bytes together, holes included: a sparse file costs a command
/// nothing.
pub fn write_tar(
    folder: &ArtifactFolder,
    limit: u64,
    budget: &mut Budget,
    out: impl Write,
) -> Result<LeftOut, WalkError> {
    let mut tar = Builder::new(out);
    let mut left_out = LeftOut::default();
    let mut bytes = 0_u64;
    let top = PathBuf::from(&folder.name);
    tar.append_data(&mut header(EntryType::Directory, &folder.stat, 0), &top, io::empty()).map_err(WalkError::Write)?;
    walk(folder.place.as_fd(), &top, Depth::All, budget, &mut |path, entry| {
        if entry.kind == FileType::RegularFile {
            bytes = bytes.saturating_add(size(&entry.stat));
            if bytes > limit {
                return Err(WalkError::TooLarge { limit });
            }
        }
        append(&mut tar, path, entry, &mut left_out)
    })?;
    tar.finish().map_err(WalkError::Write)?;
    Ok(left_out)
}

fn append(tar: &mut Builder<impl Write>, path: &Path, entry: &Entry, left_out: &mut LeftOut) -> Result<(), WalkError> {
    let unreadable = |errno: rustix::io::Errno| WalkError::Io { path: shown(path), source: errno.into() };
    let written = match entry.kind {
        FileType::Directory => tar.append_data(&mut header(EntryType::Directory, &entry.stat, 0), path, io::empty()),
        FileType::RegularFile => {
            let size = size(&entry.stat);
            let mut content = Exactly::new(reopen(&entry.place).map_err(unreadable)?, size);
            let written = tar.append_data(&mut header(EntryType::Regular, &entry.stat, size), path, &mut content);
            left_out.changed += u64::from(content.changed());
            written
        }
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(&entry.place, c"", Vec::new()).map_err(unreadable)?;
            let target = Path::new(OsStr::from_bytes(target.as_bytes()));
            tar.append_link(&mut header(EntryType::Symlink, &entry.stat, 0), path, target)
        }
        _ => {
            left_out.specials += 1;
            Ok(())
        }
    };
    written.map_err(WalkError::Write)
}

fn header(kind: EntryType, stat: &Stat, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    // The bits for set-user-id and the like are nobody's business elsewhere.
    header.set_mode(stat.st_mode & 0o777);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// Reads exactly as many bytes as a header promises, even if the file shrinks or grows meanwhile.
struct Exactly<R> {
    content: R,
    left: u64,
    filled: bool,
}

impl<R: Read> Exactly<R> {
    fn new(content: R, size: u64) -> Self {
        Self { content, left: size, filled: false }
    }

    /// True if the file turned out shorter or longer.
    fn changed(&mut self) -> bool {
        self.filled || self.left > 0 || !matches!(self.content.read(&mut [0]), Ok(0))
    }
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).map_or(buffer.len(), |left| buffer.len().min(left));
        let buffer = &mut buffer[..wanted];
        let mut read = if self.filled || wanted == 0 { 0 } else { self.content.read(buffer).unwrap_or(0) };
        if read < wanted && read == 0 {
            self.filled = true;
            buffer.fill(0);
            read = wanted;
        }
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_as_long_as_its_header_says() {
        for (content, size, expected, changed) in [
            (&b""[..], 0, &b""[..], false),
            (b"abc", 3, b"abc", false),
            (b"abc", 5, b"abc\0\0", true),
            (b"abcdef", 3, b"abc", true),
            (b"a", 0, b"", true),
        ] {
            let (mut exactly, mut read) = (Exactly::new(content, size), Vec::new());
            exactly.read_to_end(&mut read).unwrap();
            assert_eq!((read.as_slice(), exactly.changed()), (expected, changed), "{content:?} {size}");
        }
    }
}
