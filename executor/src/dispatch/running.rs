//! The attempts that run in this process: how they are told to stop, and which delivery is acknowledged at the end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use infra::amqp::Delivery;
use schemas::id::RunId;
use tokio_util::sync::CancellationToken;

use super::halt::Halt;

/// Why an attempt should stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Somebody canceled the run: end it properly.
    Canceled,
    /// A newer attempt has the run, or this executor goes away: stop without a report.
    Silent,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Running {
    attempts: Arc<Mutex<HashMap<RunId, Entry>>>,
}

#[derive(Debug)]
struct Entry {
    attempt: u32,
    halt: Halt,
    delivery: Delivery,
}

/// The relation of a delivery to the attempts that run here.
#[derive(Debug)]
pub(crate) enum Adoption {
    /// Its run does not run here.
    Unknown(Delivery),
    Adopted,
    /// Published twice: the first one is being worked on.
    Twin(Delivery),
}

/// The running attempt's own end. It must be closed with `finish`.
#[derive(Debug)]
pub(crate) struct Registration {
    running: Running,
    run: RunId,
    pub halt: Halt,
}

impl Running {
    /// An attempt begins. `abort` stops it without a report.
    pub(crate) fn begin(
        &self,
        run: &RunId,
        attempt: u32,
        delivery: Delivery,
        abort: &CancellationToken,
    ) -> Registration {
        let halt = Halt::new(abort);
        self.lock().insert(run.clone(), Entry { attempt, halt: halt.clone(), delivery });
        Registration { running: self.clone(), run: run.clone(), halt }
    }

    /// Takes over a delivery. After a lost connection the broker redelivers the jobs of current attempts. The attempt
    /// goes on; only the delivery that is acknowledged at its end changes.
    pub(crate) fn adopt(&self, run: &RunId, delivery: Delivery) -> Adoption {
        match self.lock().get_mut(run) {
            Some(entry) if delivery.redelivered => {
                entry.delivery = delivery;
                Adoption::Adopted
            }
            Some(_) => Adoption::Twin(delivery),
            None => Adoption::Unknown(delivery),
        }
    }

    pub(crate) fn stop(&self, run: &RunId, stop: Stop, before_attempt: Option<u32>) {
        if let Some(entry) = self.lock().get(run)
            && before_attempt.is_none_or(|newer| entry.attempt < newer)
        {
            entry.halt.tell(stop);
        }
    }

    pub(crate) fn list(&self) -> Vec<(RunId, u32)> {
        self.lock().iter().map(|(run, entry)| (run.clone(), entry.attempt)).collect()
    }

    /// Every statement leaves the map valid, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Entry>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registration {
    /// The attempt is over; returns the delivery to acknowledge.
    pub(crate) fn finish(self) -> Option<Delivery> {
        self.running.lock().remove(&self.run).map(|entry| entry.delivery)
    }
}
