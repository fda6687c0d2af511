//! Traces of a run on the machine, and their complete removal: on the normal path, on every error path (by `Drop`),
//! and after a crash (the start-up sweep does the same from the outside).
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{At as _, CleanupError};
use super::meter::Meter;
use super::slot::Slot;
use crate::kernel::cgroup::{Accounting, Cgroup};
use crate::kernel::disk::{Disk, DiskUsage};
use crate::kernel::process::Process;
use crate::kernel::removal::remove_tree;

/// The last facts about a run.
#[derive(Debug)]
pub(super) struct Reclaimed {
    pub(super) accounting: Accounting,
    pub(super) disk: Option<DiskUsage>,
    pub(super) cleanup: Result<(), CleanupError>,
}

impl Default for Reclaimed {
    fn default() -> Self {
        Self { accounting: Accounting::default(), disk: None, cleanup: Ok(()) }
    }
}

/// Owned by a run from the first directory to the last.
#[derive(Debug)]
pub(super) struct Remains {
    /// `None` once reclaimed.
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    helper: Arc<Process>,
    cgroup: Arc<Cgroup>,
    run_dir: PathBuf,
    slot: Slot,
    space: Space,
}

/// The limit on what a run writes, and its keeper.
#[derive(Debug)]
pub(super) enum Space {
    Unlimited,
    /// The slot's disk, and the run's folder in it.
    Disk(Arc<Disk>, PathBuf),
    Measured(Meter),
}

impl Space {
    fn usage(&mut self) -> io::Result<Option<DiskUsage>> {
        match self {
            Self::Unlimited => Ok(None),
            Self::Disk(disk, _) => disk.usage().map(Some),
            Self::Measured(meter) => meter.finish().map(Some),
        }
    }
}

impl Remains {
    pub(super) fn new(helper: Arc<Process>, cgroup: Arc<Cgroup>, run_dir: PathBuf, slot: Slot, space: Space) -> Self {
        Self { held: Some(Held { helper, cgroup, run_dir, slot, space }) }
    }

    /// Limits the run's writes by this meter.
    pub(super) fn measure(&mut self, meter: Meter) {
        if let Some(held) = &mut self.held {
            held.space = Space::Measured(meter);
        }
    }

    /// Kills, counts, removes. Blocking.
    pub(super) fn reclaim(mut self) -> Reclaimed {
        self.held.take().map_or_else(Reclaimed::default, Held::reclaim)
    }
}

impl Held {
    fn reclaim(mut self) -> Reclaimed {
        let killed = self.helper.kill().and_then(|()| self.cgroup.kill_and_wait());
        let accounting = self.cgroup.accounting();
        let disk = self.space.usage();
        let disk = disk.inspect_err(|error| tracing::warn!(%error, "cannot measure the disk of a slot")).ok().flatten();
        let cleanup = killed
            .at("kill leftover processes")
            .and_then(|()| match &self.space {
                Space::Disk(_, folder) => remove_tree(folder).at("empty the slot's disk"),
                Space::Unlimited | Space::Measured(_) => Ok(()),
            })
            .and_then(|()| remove(&self.cgroup, &self.run_dir));
        self.slot.refill();
        if cleanup.is_err() {
            // Somebody may still act, or own files, under this uid.
            self.slot.block();
        }
        Reclaimed { accounting, disk, cleanup }
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        let Some(held) = self.held.take() else { return };
        // May wait for the kernel, and `drop` may run on an async worker.
        std::thread::spawn(move || {
            if let Err(error) = held.reclaim().cleanup {
                tracing::error!(%error, "cannot clean up an abandoned sandbox");
            }
        });
    }
}

fn remove(cgroup: &Cgroup, run_dir: &Path) -> Result<(), CleanupError> {
    // Both are tried: one failure should not leave two leftovers.
    let group = cgroup.remove().at("remove control group");
    remove_tree(run_dir).at("remove run directory")?;
    group
}
