//! Files that appear under their name only when they are complete: a temporary file beside them, then a rename.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::failure::Failure;

#[derive(Debug)]
pub(crate) struct AtomicFile {
    target: Target,
    /// The user's own name for the file, for messages.
    path: PathBuf,
}

#[derive(Debug)]
enum Target {
    Renamed {
        temporary: NamedTempFile,
        to: PathBuf,
    },
    /// A pipe or a device cannot be replaced, only written to.
    Special(std::fs::File),
}

impl AtomicFile {
    /// `mode` as for `open(2)`: the umask applies.
    pub(crate) fn create(path: &Path, mode: u32) -> Result<Self, Failure> {
        Ok(Self {
            target: open(path, mode).map_err(|error| Failure::file("write", path, &error))?,
            path: path.to_owned(),
        })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = match &mut self.target {
            Target::Renamed { temporary, .. } => temporary.write_all(bytes),
            Target::Special(file) => file.write_all(bytes),
        };
        written.map_err(|error| Failure::file("write", &self.path, &error))
    }

    /// Puts the file in its place, over an earlier one. Without this call nothing is left behind.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let Target::Renamed { temporary, to } = self.target else { return Ok(()) };
        let persisted = temporary
            .as_file()
            .sync_all()
            .and_then(|()| temporary.persist(to).map(drop).map_err(|persist| persist.error));
        persisted.map_err(|error| Failure::file("write", &self.path, &error))
    }
}

fn open(path: &Path, mode: u32) -> io::Result<Target> {
    let to = match path.canonicalize() {
        // Through a symlink, so that the link stays.
        Ok(existing) => existing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    if to.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    if to.exists() && !to.is_file() {
        return Ok(Target::Special(std::fs::OpenOptions::new().write(true).open(to)?));
    }
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let temporary =
        tempfile::Builder::new().prefix(".crownest-").permissions(Permissions::from_mode(mode)).tempfile_in(folder)?;
    Ok(Target::Renamed { temporary, to })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_file_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let mut file = AtomicFile::create(&path, 0o666).unwrap();
        file.write(b"half").unwrap();
        drop(file);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn finishing_replaces_through_symlinks() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a"), folder.path().join("link"));
        std::fs::write(&path, "old").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let mut file = AtomicFile::create(&link, 0o666).unwrap();
        file.write(b"new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        file.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert!(link.is_symlink());
    }

    #[test]
    fn a_folder_is_refused_and_a_device_is_written_to() {
        assert!(AtomicFile::create(Path::new("/tmp"), 0o666).is_err());
        let mut null = AtomicFile::create(Path::new("/dev/null"), 0o666).unwrap();
        null.write(b"gone").unwrap();
        null.finish().unwrap();
    }
}
