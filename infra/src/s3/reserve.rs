//! Space kept back on the disk of a store on this machine: streams of new bytes stop before it, and what is sealed may use it.

use std::path::PathBuf;

use super::store::{Store, StoreError};

#[derive(Debug, Clone)]
pub(super) struct Reserve {
    /// A folder on the store's disk.
    pub(super) folder: PathBuf,
    pub(super) bytes: u64,
}

impl Store {
    /// True if this machine has the store's disk and keeps space back on it.
    pub(super) fn keeps_room(&self) -> bool {
        self.reserve.is_some()
    }

    /// Refuses new bytes where only the space that is kept back is left. A system call.
    pub(super) fn room(&self) -> Result<(), StoreError> {
        let Some(Reserve { folder, bytes }) = &self.reserve else { return Ok(()) };
        let disk = rustix::fs::statvfs(folder).map_err(|error| StoreError::Request {
            action: "looking at the disk",
            key: folder.display().to_string(),
            reason: error.to_string().into(),
        })?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free >= *bytes { Ok(()) } else { Err(StoreError::Full { free, reserve: *bytes }) }
    }
}
