//! The folder that `crownest evidence export` writes, as a source of evidence to verify. Its files may be anything, so only
//! regular files are read.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use verifier::{Content, Found, Source};

#[derive(Debug, Clone)]
pub(crate) struct EvidenceFolder {
    pub folder: PathBuf,
    /// The archive that the run was given, if it is at hand.
    pub archive: Option<PathBuf>,
}

impl Source for EvidenceFolder {
    /// Does not wait at a FIFO.
    fn open(&self, name: &str) -> Found<Content> {
        let path = self.folder.join(name);
        let failed = |error: io::Error| format!("cannot read {}: {error}", path.display());
        let file = match OpenOptions::new().read(true).custom_flags(nonblock()).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        let is_file = file.metadata().map_err(failed)?.is_file();
        if is_file { Ok(Some(Box::new(file))) } else { Err(format!("{} is not a regular file", path.display())) }
    }

    fn archive(&self) -> Found<Content> {
        let Some(path) = &self.archive else { return Ok(None) };
        let file = File::open(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        Ok(Some(Box::new(file)))
    }
}

fn nonblock() -> i32 {
    i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifo_is_not_waited_for() {
        let temporary = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("mkfifo").arg(temporary.path().join("fifo")).status().unwrap();
        assert!(made.success());
        std::fs::write(temporary.path().join("file"), "12345").unwrap();
        let folder = EvidenceFolder { folder: temporary.path().to_owned(), archive: None };
        assert!(folder.open("fifo").err().unwrap().contains("not a regular file"));
        assert!(folder.open("nothing").unwrap().is_none());
        let mut text = String::new();
        folder.open("file").unwrap().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "12345");
    }
}
