//! One supervisor per folder: an advisory lock that the kernel frees when its holder dies, however it dies.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::error::LocalError;

/// A question for the holder takes the lock for a moment: a refusal counts only if it lasts.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(5);

/// Held until dropped. The descriptor is close-on-exec, so no service inherits the lock.
#[derive(Debug)]
pub(super) struct DataLock {
    _file: File,
}

impl DataLock {
    pub(super) fn take(dir: &Path) -> Result<Self, LocalError> {
        let path = dir.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(LocalError::io("open", &path))?;
        let mut attempts = 1;
        while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            if attempts < ATTEMPTS {
                attempts += 1;
                std::thread::sleep(PAUSE);
                continue;
            }
            let mut holder = String::new();
            // Only for the message: the holder may be writing it right now.
            let _ = file.read_to_string(&mut holder);
            return Err(LocalError::AlreadyRunning { dir: dir.to_owned(), holder: holder.trim().to_owned() });
        }
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(std::process::id().to_string().as_bytes()));
        written.map_err(LocalError::io("write", &path))?;
        Ok(Self { _file: file })
    }

    /// The live process that holds the lock of `dir`. It wrote its pid itself, so this is not a stranger.
    pub(super) fn holder(dir: &Path) -> Option<u32> {
        let mut file = File::open(dir.join("lock")).ok()?;
        if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
            return None;
        }
        let mut holder = String::new();
        file.read_to_string(&mut holder).ok()?;
        holder.trim().parse().ok()
    }
}
