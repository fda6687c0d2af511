//! The disk limit where no file system keeps it (without root, which loop devices need): what a run has written is
//! measured again and again, and a run that has more than its limit is ended.
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::cgroup::Cgroup;
use super::disk::{BYTES_PER_INODE, DiskUsage, Kept};
use crate::workspace::{Usage, usage};

/// After a measurement that took no time; one that takes longer is followed by a longer pause.
const PAUSE: Duration = Duration::from_secs(1);
/// Of the pause, in measurements: at most about a tenth of a processor.
const PAUSE_FOR_EACH: u32 = 10;

#[derive(Debug)]
pub(super) struct Meter {
    folders: Vec<PathBuf>,
    most: Usage,
    /// Ends the thread by being dropped; it says whether it has ended the run.
    watch: Option<(mpsc::Sender<()>, JoinHandle<bool>)>,
}

impl Meter {
    /// Of the run in this group that writes to these folders.
    pub(super) fn start(folders: Vec<PathBuf>, bytes: u64, cgroup: Arc<Cgroup>) -> io::Result<Self> {
        let most = Usage { bytes, files: bytes / BYTES_PER_INODE };
        let (end, ended) = mpsc::channel();
        let watched = folders.clone();
        let watch = move || {
            let mut pause = PAUSE;
            while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                let begun = Instant::now();
                match usage(&watched, most) {
                    Ok(used) if exceeds(used, most) => {
                        tracing::info!(?used, "a run has more on disk than its limit and is ended");
                        if let Err(error) = cgroup.kill() {
                            tracing::error!(%error, "a run that is beyond its disk limit could not be killed");
                        }
                        return true;
                    }
                    Ok(_) => {}
                    Err(error) => tracing::warn!(%error, "what a run has on disk cannot be measured"),
                }
                pause = PAUSE.max(begun.elapsed() * PAUSE_FOR_EACH);
            }
            false
        };
        let thread = thread::Builder::new().name("disk-meter".into()).spawn(watch)?;
        Ok(Self { folders, most, watch: Some((end, thread)) })
    }

    /// What is there at the end, when nobody can change it any more. Blocking.
    pub(super) fn finish(&mut self) -> io::Result<DiskUsage> {
        let ended_run = self.watch.take().is_some_and(|(end, thread)| {
            drop(end);
            thread.join().unwrap_or(false)
        });
        let used = usage(&self.folders, Usage { bytes: u64::MAX, files: self.most.files })?;
        let is_full = ended_run || exceeds(used, self.most);
        Ok(DiskUsage { used_bytes: used.bytes, is_full, kept: Kept::ByMeasuring { ended_run } })
    }
}

fn exceeds(used: Usage, most: Usage) -> bool {
    used.bytes > most.bytes || used.files > most.files
}
