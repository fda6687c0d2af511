//! The slots of this executor: numbered places for runs, each with a user id of its own. A slot that is not fit for another
//! run is out of use until it is: it is not counted, no job is taken for it, and without any slot the executor is not
//! ready.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use infra::ops::Ready;
use prometheus::IntGauge;
use sandbox::SandboxHost;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

/// Pause before an unfit slot is tried again; each pause is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub(crate) struct Slots {
    shared: Arc<Shared>,
    permits: Arc<Semaphore>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    usable: watch::Sender<u16>,
    gauges: Gauges,
}

#[derive(Debug, Default)]
struct State {
    free: Vec<u32>,
    /// The slots out of use, and why.
    unfit: BTreeMap<u32, String>,
}

/// Numbers of slots by their state.
#[derive(Debug, Clone)]
pub(crate) struct Gauges {
    pub usable: IntGauge,
    pub unfit: IntGauge,
}

/// A slot that is in use as long as this lives.
#[derive(Debug)]
pub(crate) struct Slot {
    pub number: u32,
    shared: Arc<Shared>,
    _permit: OwnedSemaphorePermit,
}

/// A slot that is out of use as long as this lives.
#[derive(Debug)]
pub(crate) struct Unfit {
    slot: Slot,
    why: String,
}

impl Slots {
    pub(crate) fn new(count: u16, gauges: Gauges) -> Self {
        gauges.usable.set(count.into());
        let free = (0..u32::from(count)).rev().collect();
        let state = Mutex::new(State { free, unfit: BTreeMap::new() });
        let shared = Shared { state, usable: watch::Sender::new(count), gauges };
        Self { shared: Arc::new(shared), permits: Arc::new(Semaphore::new(usize::from(count))) }
    }

    /// True if another run would find a slot now.
    pub(crate) fn has_free(&self) -> bool {
        self.permits.available_permits() > 0
    }

    /// The number of slots that are not out of use, as it changes.
    pub(crate) fn usable(&self) -> watch::Receiver<u16> {
        self.shared.usable.subscribe()
    }

    /// Waits for a free slot; `None` if there is none left to wait for.
    pub(crate) async fn take(&self) -> Option<Slot> {
        let mut usable = self.usable();
        let permit = tokio::select! {
            permit = Arc::clone(&self.permits).acquire_owned() => permit.ok()?,
            none = usable.wait_for(|usable| *usable == 0) => {
                drop(none);
                return None;
            }
        };
        let number = self.shared.state().free.pop()?;
        Some(Slot { number, shared: Arc::clone(&self.shared), _permit: permit })
    }
}

impl Shared {
    /// Every statement leaves the state valid, so a panic elsewhere does not spoil it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, change: impl FnOnce(&mut u16), unfit: usize) {
        self.usable.send_modify(change);
        self.gauges.usable.set((*self.usable.borrow()).into());
        self.gauges.unfit.set(i64::try_from(unfit).unwrap_or(i64::MAX));
    }
}

impl Slot {
    /// Takes the slot out of use.
    pub(crate) fn unfit(self, why: String) -> Unfit {
        tracing::error!(slot = self.number, why, "a slot is out of use until it can run a sandbox again");
        let mut state = self.shared.state();
        state.unfit.insert(self.number, why.clone());
        self.shared.count(|usable| *usable = usable.saturating_sub(1), state.unfit.len());
        drop(state);
        Unfit { slot: self, why }
    }
}

impl Unfit {
    /// Returns when the slot is fit for a run again, and back in use; or at a shutdown.
    pub(crate) async fn mended(mut self, host: &SandboxHost, shutdown: &CancellationToken) {
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => return,
            }
            match host.settle(self.slot.number).await {
                Ok(()) => break,
                Err(error) => self.tell(error.to_string(), pause),
            }
            pause = LONGEST_PAUSE.min(pause * 2);
        }
        tracing::info!(slot = self.slot.number, "a slot is in use again");
        let shared = Arc::clone(&self.slot.shared);
        let mut state = shared.state();
        state.unfit.remove(&self.slot.number);
        let unfit = state.unfit.len();
        drop(state);
        // The slot is free before jobs are taken for it.
        drop(self);
        shared.count(|usable| *usable += 1, unfit);
    }

    fn tell(&mut self, why: String, pause: Duration) {
        if self.why != why {
            tracing::warn!(slot = self.slot.number, why, ?pause, "a slot stays out of use; retrying");
            self.slot.shared.state().unfit.insert(self.slot.number, why.clone());
            self.why = why;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // The number is back before the permit is, which is dropped after this.
        self.shared.state().free.push(self.number);
    }
}

impl Ready for Slots {
    const NAME: &'static str = "slots";

    async fn ready(&self) -> Result<(), String> {
        let state = self.shared.state();
        match state.unfit.first_key_value() {
            Some((slot, why)) if *self.shared.usable.borrow() == 0 => {
                Err(format!("all {} are out of use; slot {slot}: {why}", state.unfit.len()))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauge(name: &str) -> IntGauge {
        IntGauge::new(name, name).unwrap()
    }

    #[tokio::test]
    async fn a_slot_out_of_use_is_neither_counted_nor_waited_for() {
        let gauges = Gauges { usable: gauge("usable"), unfit: gauge("unfit") };
        let slots = Slots::new(2, gauges.clone());
        let told = || (gauges.usable.get(), gauges.unfit.get(), *slots.usable().borrow());
        let (one, other) = (slots.take().await.unwrap(), slots.take().await.unwrap());
        assert_eq!((told(), slots.has_free()), ((2, 0, 2), false));
        let unfit = one.unfit("it is broken".into());
        assert_eq!(told(), (1, 1, 1));
        assert!(slots.ready().await.is_ok());
        let number = other.number;
        drop(other);
        let other = slots.take().await.unwrap();
        assert_eq!(other.number, number);
        let _other = other.unfit("it is broken, too".into());
        assert_eq!(told(), (0, 2, 0));
        assert!(slots.take().await.is_none());
        let why = slots.ready().await.unwrap_err();
        assert_eq!(why, "all 2 are out of use; slot 0: it is broken");
        drop(unfit);
    }
}
