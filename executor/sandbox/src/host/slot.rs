//! A slot: a place for one run at a time, with a user id of its own. It is free again only when nothing of its run is left.
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::error::{CleanupError, SandboxError};
use super::machine::{Machine, lock};
use super::remains::Leftover;
use crate::kernel::idmap;

/// Time limit for a clean-up in the background: longer than the kernel is given to end processes.
const CLEANUP_DEADLINE: Duration = Duration::from_secs(30);

/// The slots of a host that are not free, or whose last start failed.
#[derive(Debug, Default)]
pub(super) struct Slots {
    taken: Mutex<HashMap<u32, Use>>,
    changed: Condvar,
    /// Slots whose last sandbox could not be started.
    doubtful: Mutex<BTreeSet<u32>>,
}

#[derive(Debug)]
enum Use {
    /// By a run, or by the removal of one.
    Now,
    /// By what could not be removed of a run.
    Left(Leftover),
}

impl Slots {
    /// True if the slot is free, and nothing makes one doubt that a sandbox starts there.
    pub(super) fn is_fit(&self, number: u32) -> bool {
        !lock(&self.taken).contains_key(&number) && !self.is_doubtful(number)
    }

    pub(super) fn is_doubtful(&self, number: u32) -> bool {
        lock(&self.doubtful).contains(&number)
    }

    /// A sandbox could not be started in the slot.
    pub(super) fn doubt(&self, number: u32) {
        lock(&self.doubtful).insert(number);
    }

    /// A sandbox was started in the slot and ended as it should.
    pub(super) fn trust(&self, number: u32) {
        lock(&self.doubtful).remove(&number);
    }

    /// Removes what is left of the slot's last run, or waits until that is done elsewhere. Blocking.
    pub(super) fn clean_up(&self, number: u32, machine: &Machine) -> Result<(), CleanupError> {
        let Some(mut left) = self.take_left(number)? else { return Ok(()) };
        let removed = left.remove(machine, number);
        match &removed {
            Ok(()) => self.free(number),
            Err(_) => self.leave(number, left),
        }
        removed
    }

    fn take_left(&self, number: u32) -> Result<Option<Leftover>, CleanupError> {
        let deadline = Instant::now() + CLEANUP_DEADLINE;
        let mut taken = lock(&self.taken);
        loop {
            match taken.insert(number, Use::Now) {
                Some(Use::Left(left)) => return Ok(Some(left)),
                Some(Use::Now) => {}
                None => {
                    taken.remove(&number);
                    return Ok(None);
                }
            }
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                let source = io::Error::new(io::ErrorKind::TimedOut, "its run has not ended");
                return Err(CleanupError { step: "wait for the slot", source });
            }
            taken = self.changed.wait_timeout(taken, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn free(&self, number: u32) {
        lock(&self.taken).remove(&number);
        self.changed.notify_all();
    }

    fn leave(&self, number: u32, left: Leftover) {
        lock(&self.taken).insert(number, Use::Left(left));
        self.changed.notify_all();
    }
}

/// A slot's uid, held by at most one run.
#[derive(Debug)]
pub(super) struct Slot {
    machine: Arc<Machine>,
    number: u32,
    /// Set when the slot stays taken.
    is_left: bool,
}

impl Slot {
    pub(super) fn take(machine: &Arc<Machine>, number: u32) -> Result<Self, SandboxError> {
        let uid = machine.ids.first.checked_add(number).filter(|uid| uid.checked_add(idmap::HIGHEST).is_some());
        if !uid.is_some_and(|uid| machine.users.has(uid)) {
            return Err(SandboxError::InvalidSpec(format!("slot {number} has no uid")));
        }
        let mut taken = lock(&machine.slots.taken);
        if taken.contains_key(&number) {
            return Err(SandboxError::SlotBusy { slot: number });
        }
        taken.insert(number, Use::Now);
        drop(taken);
        Ok(Self { machine: Arc::clone(machine), number, is_left: false })
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn machine(&self) -> &Machine {
        &self.machine
    }

    pub(super) fn uid(&self) -> u32 {
        self.machine.ids.first + self.number
    }

    /// Has a helper prepared to replace the one that the slot's run has used up.
    pub(super) fn refill(&self) {
        self.machine.ready.refill();
    }

    /// Keeps the slot taken until this is removed.
    pub(super) fn leave(mut self, left: Leftover) {
        self.is_left = true;
        self.machine.slots.leave(self.number, left);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.is_left {
            self.machine.slots.free(self.number);
        }
    }
}
