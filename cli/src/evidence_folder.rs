//! The folder that `crownest evidence export` writes, as a source of evidence to verify. Its files may be anything, so only
//! regular files are read.

use std::io;
use std::path::{Path, PathBuf};

use verifier::{Content, Found, Source};

use crate::regular_file;

#[derive(Debug, Clone)]
pub(crate) struct EvidenceFolder {
    pub folder: PathBuf,
    /// The archive that the run was given, if it is at hand.
    pub archive: Option<PathBuf>,
}

impl Source for EvidenceFolder {
    fn open(&self, name: &str) -> Found<Content> {
        let path = self.folder.join(name);
        match regular_file::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(&path, &error)),
            Ok(file) => Ok(Some(Box::new(file))),
        }
    }

    fn archive(&self) -> Found<Content> {
        let Some(path) = &self.archive else { return Ok(None) };
        let file = regular_file::open(path).map_err(|error| unreadable(path, &error))?;
        Ok(Some(Box::new(file)))
    }
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("cannot read {}: {error}", path.display())
}
