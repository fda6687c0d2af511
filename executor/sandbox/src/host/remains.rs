//! Traces of a run on the machine, and their complete removal: on the normal path, on every error path (by `Drop`),
//! and after a crash (the start-up sweep does the same from the outside). What cannot be removed keeps its slot, and is
//! tried again ([`SandboxHost::settle`](crate::SandboxHost::settle)).
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::error::{At as _, CleanupError};
use super::machine::Machine;
use super::meter::Meter;
use super::slot::Slot;
use crate::kernel::cgroup::{Accounting, Cgroup};
use crate::kernel::disk::{Disk, DiskUsage};
use crate::kernel::process::Process;
use crate::kernel::removal::{remove_at_most, remove_tree};

/// Maximum files and folders that are removed from a slot's disk one by one. With more, a new disk takes less time.
const EMPTIED_FILES: u64 = 1_000;

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
    left: Leftover,
    slot: Slot,
}

/// Processes, control group and files of a run.
#[derive(Debug)]
pub(super) struct Leftover {
    helper: Arc<Process>,
    cgroup: Arc<Cgroup>,
    run_dir: PathBuf,
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
        Self { held: Some(Held { left: Leftover { helper, cgroup, run_dir, space }, slot }) }
    }

    /// Limits the run's writes by this meter.
    pub(super) fn measure(&mut self, meter: Meter) {
        if let Some(held) = &mut self.held {
            held.left.space = Space::Measured(meter);
        }
    }

    /// The sandbox did not come to its command.
    pub(super) fn doubt(&self) {
        if let Some(held) = &self.held {
            held.slot.machine().slots.doubt(held.slot.number());
        }
    }

    /// Kills, counts, removes. Blocking.
    pub(super) fn reclaim(mut self) -> Reclaimed {
        self.held.take().map_or_else(Reclaimed::default, Held::reclaim)
    }
}

impl Held {
    fn reclaim(self) -> Reclaimed {
        let Self { mut left, slot } = self;
        let killed = left.kill();
        let accounting = left.cgroup.accounting();
        let disk = left.space.usage();
        let disk = disk.inspect_err(|error| tracing::warn!(%error, "cannot measure the disk of a slot")).ok().flatten();
        let cleanup = killed.and_then(|()| left.remove_files(slot.machine(), slot.number()));
        slot.refill();
        if cleanup.is_err() {
            // Somebody may still act, or own files, under this uid.
            slot.leave(left);
        }
        Reclaimed { accounting, disk, cleanup }
    }
}

impl Leftover {
    /// Removes everything; may be repeated until it succeeds. Blocking.
    pub(super) fn remove(&mut self, machine: &Machine, slot: u32) -> Result<(), CleanupError> {
        self.kill()?;
        self.remove_files(machine, slot)
    }

    fn kill(&self) -> Result<(), CleanupError> {
        self.helper.kill().and_then(|()| self.cgroup.kill_and_wait()).at("kill leftover processes")
    }

    fn remove_files(&mut self, machine: &Machine, slot: u32) -> Result<(), CleanupError> {
        // All are tried: one failure should not leave more leftovers.
        let group = self.cgroup.remove().at("remove control group");
        let folder = remove_tree(&self.run_dir).at("remove run directory");
        let is_empty = match &self.space {
            Space::Disk(_, folder) => remove_at_most(folder, EMPTIED_FILES).unwrap_or_else(|error| {
                tracing::warn!(%error, slot, "cannot empty the disk of a slot; it gets a new one");
                false
            }),
            Space::Unlimited | Space::Measured(_) => true,
        };
        if !is_empty {
            // The space on the host is needed for the new one.
            self.space = Space::Unlimited;
            machine.drop_disk(slot);
        }
        machine.disk(slot).at("make the slot's disk")?;
        group.and(folder)
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
