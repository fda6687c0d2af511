//! Tells whether the store takes new work: proven by writing, again and again, and by the room that is left on its disk.

use std::time::Duration;

use prometheus::{IntGauge, Registry};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::store::{Store, StoreError};
use crate::ops::Ready;

/// Interval of the proofs while all is well …
const INTERVAL: Duration = Duration::from_secs(10);
/// … and while the store refuses.
const RETRY_DELAY: Duration = Duration::from_secs(1);
const PROBE_WITHIN: Duration = Duration::from_secs(5);
/// Interval at which the room on the store's disk is looked at, if there is one that can be looked at.
const ROOM_INTERVAL: Duration = Duration::from_millis(250);
const PROBE_KEY: &str = "readiness/probe";

/// Open while the store takes new work. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gate(watch::Receiver<Answer>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    /// Nobody has asked yet.
    Unknown,
    Open,
    Closed(String),
}

/// The task behind a gate.
#[derive(Debug)]
pub struct Watch {
    store: Store,
    answer: watch::Sender<Answer>,
    open: IntGauge,
}

/// Makes the gate of a store, and the task that opens and closes it.
pub fn gate(store: &Store, registry: &Registry) -> prometheus::Result<(Gate, Watch)> {
    let open =
        IntGauge::new("crownest_store_takes_work", "1 while the object store takes new work, 0 while it does not")?;
    registry.register(Box::new(open.clone()))?;
    let (answer, gate) = watch::channel(Answer::Unknown);
    Ok((Gate(gate), Watch { store: store.clone(), answer, open }))
}

impl Gate {
    /// Returns when the store takes new work.
    pub async fn opened(&self) {
        // The task ends only with its service, which then stops whoever waits here.
        let _ = self.0.clone().wait_for(|answer| !matches!(answer, Answer::Closed(_))).await;
    }
}

impl Ready for Gate {
    const NAME: &'static str = "s3";

    async fn ready(&self) -> Result<(), String> {
        let mut answers = self.0.clone();
        let known = tokio::time::timeout(PROBE_WITHIN, answers.wait_for(|answer| *answer != Answer::Unknown)).await;
        let Ok(Ok(answer)) = known else { return Err("the store was not asked yet".to_owned()) };
        if let Answer::Closed(reason) = &*answer { Err(reason.clone()) } else { Ok(()) }
    }
}

impl Watch {
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let written = self.prove().await;
            let wait = if written.is_ok() { INTERVAL } else { RETRY_DELAY };
            let wait = tokio::time::sleep(wait);
            tokio::pin!(wait);
            loop {
                self.tell(written.clone().and_then(|()| self.store.room().map_err(|error| error.to_string())));
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = &mut wait => break,
                    () = tokio::time::sleep(ROOM_INTERVAL), if self.store.keeps_room() => {}
                }
            }
        }
    }

    async fn prove(&self) -> Result<(), String> {
        match tokio::time::timeout(PROBE_WITHIN, self.store.prove_writes()).await {
            Ok(proven) => proven.map_err(|error| error.to_string()),
            Err(_) => Err(format!("the store has not taken a write within {} s", PROBE_WITHIN.as_secs())),
        }
    }

    fn tell(&self, proven: Result<(), String>) {
        self.open.set(i64::from(proven.is_ok()));
        let answer = proven.map_or_else(Answer::Closed, |()| Answer::Open);
        self.answer.send_if_modified(|known| {
            let was_open = !matches!(known, Answer::Closed(_));
            match &answer {
                Answer::Closed(reason) if was_open => tracing::warn!(reason, "the store takes no new work"),
                Answer::Open if !was_open => tracing::info!("the store takes new work again"),
                _ => {}
            }
            let changed = *known != answer;
            known.clone_from(&answer);
            changed
        });
    }
}

impl Store {
    /// Proves that the store takes bytes, and leaves nothing behind, not even a version: an upload of one byte that is given up.
    pub async fn prove_writes(&self) -> Result<(), StoreError> {
        self.begin(PROBE_KEY, "application/octet-stream").rehearse().await
    }
}
