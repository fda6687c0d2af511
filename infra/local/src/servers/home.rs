//! The folder of one service: what the supervisor owns in it (lock, ports, pid, log, secrets) and what the service does.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::LocalError;
use super::lock::DataLock;
use super::run_as::RunAs;
use super::secrets::{Secrets, write_file};

#[derive(Debug)]
pub struct Home {
    pub(super) service: &'static str,
    pub(super) dir: PathBuf,
    pub(super) run_as: RunAs,
    pub(super) secrets: Secrets,
    _lock: DataLock,
}

impl Home {
    pub(super) fn open(service: &'static str, users: &[&str], dir: &Path) -> Result<Self, LocalError> {
        let run_as = RunAs::choose(service, users)?;
        let dir = create_data_dir(dir)?;
        run_as.check_can_reach(service, &dir)?;
        let lock = DataLock::take(&dir)?;
        let secrets = Secrets::open(dir.join("secrets"))?;
        Ok(Self { service, dir, run_as, secrets, _lock: lock })
    }

    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// A folder that the service writes to, closed to everybody else.
    pub(super) fn own_dir(&self, name: &str) -> Result<PathBuf, LocalError> {
        let dir = self.dir.join(name);
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(LocalError::io("create", &dir))?;
        self.run_as.own(&dir)?;
        Ok(dir)
    }

    /// A file that the service reads and cannot change; nobody else sees it.
    pub(super) fn config_file(&self, name: &str, content: &str) -> Result<PathBuf, LocalError> {
        let path = self.dir.join(name);
        write_file(&path, content.as_bytes(), 0o640)?;
        self.run_as.share(&path)?;
        Ok(path)
    }
}

/// Creates the folder if it is missing, lets others pass through it (not list it) and returns its absolute name.
pub(super) fn create_data_dir(dir: &Path) -> Result<PathBuf, LocalError> {
    fs::create_dir_all(dir).map_err(LocalError::io("create", dir))?;
    let dir = dir.canonicalize().map_err(LocalError::io("resolve", dir))?;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"./_-+@".contains(byte);
    if !dir.as_os_str().as_encoded_bytes().iter().all(plain) {
        return Err(LocalError::UnquotableDataDir(dir));
    }
    fs::set_permissions(&dir, Permissions::from_mode(0o711)).map_err(LocalError::io("chmod", &dir))?;
    Ok(dir)
}

pub(super) fn remove_dir_if_present(dir: &Path) -> Result<(), LocalError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(LocalError::io("remove", dir)(error)),
        _ => Ok(()),
    }
}
