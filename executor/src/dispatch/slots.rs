//! The slots of this executor: numbered places for runs, each with a user id of its own.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

#[derive(Debug, Clone)]
pub(crate) struct Slots {
    free: Arc<Mutex<Vec<u32>>>,
    permits: Arc<Semaphore>,
}

/// A slot that is in use as long as this lives.
#[derive(Debug)]
pub(crate) struct Slot {
    pub number: u32,
    free: Arc<Mutex<Vec<u32>>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Slots {
    pub(crate) fn new(count: u16) -> Self {
        let free = (0..u32::from(count)).rev().collect();
        Self { free: Arc::new(Mutex::new(free)), permits: Arc::new(Semaphore::new(usize::from(count))) }
    }

    /// True if another run would find a slot now.
    pub(crate) fn has_free(&self) -> bool {
        self.permits.available_permits() > 0
    }

    /// Waits for a free slot.
    pub(crate) async fn take(&self) -> Option<Slot> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        let number = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        Some(Slot { number, free: Arc::clone(&self.free), permit: Some(permit) })
    }
}

impl Slot {
    /// Takes the slot out of use until the next start: something of its last run could not be removed.
    pub(crate) fn retire(mut self) {
        if let Some(permit) = self.permit.take() {
            permit.forget();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.permit.is_none() {
            return;
        }
        // The number is back before the permit is, which is dropped after this.
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.number);
    }
}
