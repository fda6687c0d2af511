//! Generated secrets: one file each, 0600 in a 0700 folder, made once and kept with the data.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use infra::config::Secret;

use super::error::LocalError;

const SECRET_BYTES: usize = 24;

#[derive(Debug)]
pub(super) struct Secrets {
    dir: PathBuf,
}

impl Secrets {
    pub(super) fn open(dir: PathBuf) -> Result<Self, LocalError> {
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(LocalError::io("create", &dir))?;
        Ok(Self { dir })
    }

    /// The secret of this name: hexadecimal, made at first use.
    pub(super) fn get(&self, name: &str) -> Result<Secret, LocalError> {
        let path = self.dir.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => return Ok(Secret::new(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(LocalError::Io { action: "read", path, source }),
        }
        let mut bytes = [0; SECRET_BYTES];
        getrandom::fill(&mut bytes).map_err(|error| LocalError::Io {
            action: "find randomness for",
            path: path.clone(),
            source: error.into(),
        })?;
        let text = hex::encode(bytes);
        write_file(&path, text.as_bytes(), 0o600)?;
        Ok(Secret::new(text))
    }
}

/// Writes a secret that somebody else made.
pub(crate) fn write_secret(path: &Path, secret: &Secret) -> Result<(), LocalError> {
    write_file(path, secret.reveal().as_bytes(), 0o600)
}

/// Replaces `path` as a whole and with these permissions from its first byte on: a crash leaves the old file or the new.
pub(super) fn write_file(path: &Path, content: &[u8], mode: u32) -> Result<(), LocalError> {
    let new = path.with_extension("new");
    let write = || -> io::Result<()> {
        // `create_new` never follows a link that somebody put there.
        remove_if_present(&new)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    };
    write().map_err(LocalError::io("write", path))
}

pub(super) fn remove_if_present(path: &Path) -> io::Result<()> {
    fs::remove_file(path).or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}
