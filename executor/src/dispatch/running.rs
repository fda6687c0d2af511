//! The attempts that run in this process: how they are told to stop, and which delivery is acknowledged at the end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use infra::amqp::Delivery;
use schemas::id::RunId;
use tokio::sync::watch;

/// Why an attempt should stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Somebody canceled the run: end it properly.
    Canceled,
    /// A newer attempt has the run: stop without a report.
    Fenced,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Running {
    attempts: Arc<Mutex<HashMap<RunId, Entry>>>,
}

#[derive(Debug)]
struct Entry {
    attempt: u32,
    stop: watch::Sender<Option<Stop>>,
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
    pub stop: watch::Receiver<Option<Stop>>,
}

impl Running {
    /// An attempt begins.
    pub(crate) fn begin(&self, run: &RunId, attempt: u32, delivery: Delivery) -> Registration {
        let (stop, receiver) = watch::channel(None);
        self.lock().insert(run.clone(), Entry { attempt, stop, delivery });
        Registration { running: self.clone(), run: run.clone(), stop: receiver }
    }

    /// After a lost connection the broker delivers again what runs here. The attempt goes on; only the delivery that
    /// is acknowledged at its end changes.
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
            // Being overtaken is final; being canceled is not.
            entry.stop.send_if_modified(|present| {
                let changed = *present != Some(Stop::Fenced) && *present != Some(stop);
                if changed {
                    *present = Some(stop);
                }
                changed
            });
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
