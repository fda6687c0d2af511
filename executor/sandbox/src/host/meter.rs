//! The disk limit where no file system keeps it (without root, which loop devices need): what a run has written is
//! measured again and again, and a run that has more than its limit is ended.
use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::usage::{Usage, usage};
use crate::kernel::cgroup::Cgroup;
use crate::kernel::disk::{BYTES_PER_INODE, DiskUsage, Kept};

/// Pause after a measurement; a slow one is followed by a longer pause.
const PAUSE: Duration = Duration::from_secs(1);
/// Length of the pause in durations of a measurement: at most about a tenth of a processor.
const PAUSE_FOR_EACH: u32 = 10;

/// Maximum open files examined in one measurement.
const MOST_DESCRIPTORS: usize = 100_000;

#[derive(Debug)]
pub(super) struct Meter {
    folders: Vec<PathBuf>,
    most: Usage,
    /// Ends the thread by being dropped; if it has ended the run, it says for what.
    watch: Option<(mpsc::Sender<()>, JoinHandle<Option<Usage>>)>,
}

impl Meter {
    /// Measures the run in this group, which writes to these folders on these devices.
    pub(super) fn start(folders: Vec<PathBuf>, devices: Vec<u64>, bytes: u64, cgroup: Arc<Cgroup>) -> io::Result<Self> {
        let most = Usage { bytes, files: bytes / BYTES_PER_INODE };
        let (end, ended) = mpsc::channel();
        let watched = folders.clone();
        let watch = move || {
            let mut pause = PAUSE;
            while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                let begun = Instant::now();
                match usage(&watched, most).and_then(|used| Ok(add(used, nameless(&cgroup.members()?, &devices)))) {
                    Ok(used) if exceeds(used, most) => {
                        tracing::info!(?used, "a run has more on disk than its limit and is ended");
                        if let Err(error) = cgroup.kill() {
                            tracing::error!(%error, "cannot kill a run that is beyond its disk limit");
                        }
                        return Some(used);
                    }
                    Ok(_) => {}
                    Err(error) => tracing::warn!(%error, "cannot measure the disk usage of a run; retrying"),
                }
                pause = PAUSE.max(begun.elapsed() * PAUSE_FOR_EACH);
            }
            None
        };
        let thread = thread::Builder::new().name("disk-meter".into()).spawn(watch)?;
        Ok(Self { folders, most, watch: Some((end, thread)) })
    }

    /// Measures once more at the end, when nobody can change anything. Blocking.
    pub(super) fn finish(&mut self) -> io::Result<DiskUsage> {
        let ended_for = self.watch.take().and_then(|(end, thread)| {
            drop(end);
            thread.join().unwrap_or(None)
        });
        let used = usage(&self.folders, Usage { bytes: u64::MAX, files: self.most.files })?;
        let ended_run = ended_for.is_some();
        Ok(DiskUsage {
            // What had no name went with the processes.
            used_bytes: used.bytes.max(ended_for.map_or(0, |used| used.bytes)),
            is_full: ended_run || exceeds(used, self.most),
            kept: Kept::ByMeasuring { ended_run },
        })
    }
}

/// The deleted files on these devices that these processes still have open.
fn nameless(pids: &BTreeSet<i32>, devices: &[u64]) -> Usage {
    let mut sum = Usage { bytes: 0, files: 0 };
    let mut known = HashSet::new();
    let descriptors = pids.iter().filter_map(|pid| fs::read_dir(format!("/proc/{pid}/fd")).ok()).flatten().flatten();
    for descriptor in descriptors.take(MOST_DESCRIPTORS) {
        // The file itself, not the link.
        let Ok(file) = fs::metadata(descriptor.path()) else { continue };
        let is_deleted = file.is_file() && file.nlink() == 0 && devices.contains(&file.dev());
        if is_deleted && known.insert((file.dev(), file.ino())) {
            sum = add(sum, Usage { bytes: file.blocks() * 512, files: 1 });
        }
    }
    sum
}

fn add(one: Usage, other: Usage) -> Usage {
    Usage { bytes: one.bytes.saturating_add(other.bytes), files: one.files.saturating_add(other.files) }
}

fn exceeds(used: Usage, most: Usage) -> bool {
    used.bytes > most.bytes || used.files > most.files
}
