//! A slot: a place for one run at a time, with a user id of its own.
use std::sync::Arc;

use super::error::SandboxError;
use super::machine::{Machine, lock};
use crate::kernel::idmap;

/// A slot's uid, held by at most one run.
#[derive(Debug)]
pub(super) struct Slot {
    machine: Arc<Machine>,
    number: u32,
    blocked: bool,
}

impl Slot {
    pub(super) fn take(machine: &Arc<Machine>, number: u32) -> Result<Self, SandboxError> {
        let uid = machine.ids.first.checked_add(number).filter(|uid| uid.checked_add(idmap::HIGHEST).is_some());
        if !uid.is_some_and(|uid| machine.users.has(uid)) {
            return Err(SandboxError::InvalidSpec(format!("slot {number} has no uid")));
        }
        if !lock(&machine.busy).insert(number) {
            return Err(SandboxError::SlotBusy { slot: number });
        }
        Ok(Self { machine: Arc::clone(machine), number, blocked: false })
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn uid(&self) -> u32 {
        self.machine.ids.first + self.number
    }

    /// Has a helper prepared to replace the one that the slot's run has used up.
    pub(super) fn refill(&self) {
        self.machine.ready.refill();
    }

    /// Blocks the slot until the executor restarts.
    pub(super) fn block(mut self) {
        self.blocked = true;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.blocked {
            lock(&self.machine.busy).remove(&self.number);
        }
    }
}
