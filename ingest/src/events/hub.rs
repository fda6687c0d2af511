//! Wakes the streams of this process: notices from the collector say how far a run got, and a look at the database
//! once a second replaces the notices that were lost. One query serves all streams.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use database::{DbError, Pool};
use infra::amqp::{Amqp, Source};
use schemas::id::RunId;
use schemas::message::{LiveNotice, decode_json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::pages::Pages;
use crate::db::runs::{Progress, progress_of};

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Maximum runs in one query.
const LOOK_GROUP: usize = 1000;
const PREFETCH: u16 = 256;

type Watched = HashMap<RunId, Followed>;

/// A run that somebody follows.
#[derive(Debug)]
struct Followed {
    progress: watch::Sender<Progress>,
    pages: Arc<Pages>,
}

/// The followed runs and their followers. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hub {
    watched: Arc<Mutex<Watched>>,
}

/// Follows one run until it is dropped.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub progress: watch::Receiver<Progress>,
    pages: Arc<Pages>,
    run: RunId,
    hub: Hub,
}

impl Hub {
    /// Follows a run of which the caller knows `known` already.
    pub(crate) fn subscribe(&self, run: &RunId, known: Progress) -> Subscription {
        let mut watched = self.lock();
        let followed = watched
            .entry(run.clone())
            .or_insert_with(|| Followed { progress: watch::Sender::new(Progress::default()), pages: Arc::default() });
        advance(&followed.progress, known);
        Subscription {
            progress: followed.progress.subscribe(),
            pages: Arc::clone(&followed.pages),
            run: run.clone(),
            hub: self.clone(),
        }
    }

    /// Passes notices on until `shutdown`.
    pub(crate) async fn run(&self, amqp: &Amqp, pool: &Pool, shutdown: &CancellationToken) {
        let mut notices = amqp.consume(Source::Live, PREFETCH);
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                delivery = notices.next() => {
                    let Some(delivery) = delivery else { return };
                    match decode_json::<LiveNotice>(&delivery.body) {
                        Ok(notice) => self.pass_on(&notice),
                        Err(error) => tracing::warn!(%error, "cannot read a live notice"),
                    }
                    // An unreadable notice, too: it is only a hint.
                    delivery.ack().await;
                }
                _ = ticks.tick() => {
                    if let Err(error) = self.look(pool).await {
                        tracing::warn!(%error, "cannot read the progress of followed runs; retrying");
                    }
                }
                () = shutdown.cancelled() => return,
            }
        }
    }

    fn pass_on(&self, notice: &LiveNotice) {
        let watched = self.lock();
        for run in &notice.runs {
            if let Some(followed) = watched.get(&run.run_id) {
                advance(&followed.progress, Progress { last_seq: run.last_seq, terminal: run.terminal });
            }
        }
    }

    async fn look(&self, pool: &Pool) -> Result<(), DbError> {
        let runs: Vec<RunId> = self.lock().keys().cloned().collect();
        if runs.is_empty() {
            return Ok(());
        }
        let client = pool.get().await?;
        for group in runs.chunks(LOOK_GROUP) {
            let found = progress_of(&client, group).await?;
            let watched = self.lock();
            for (run, progress) in found {
                if let Some(followed) = watched.get(&run) {
                    advance(&followed.progress, progress);
                }
            }
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notices and looks overtake each other: progress never goes back.
fn advance(sender: &watch::Sender<Progress>, seen: Progress) {
    sender.send_if_modified(|progress| {
        let next =
            Progress { last_seq: progress.last_seq.max(seen.last_seq), terminal: progress.terminal || seen.terminal };
        let moved = next != *progress;
        *progress = next;
        moved
    });
}

impl Subscription {
    /// Pages that the run's other followers have read; `None` for a follower that is alone.
    pub(super) fn shared_pages(&self) -> Option<&Pages> {
        let watched = self.hub.lock();
        let followers = watched.get(&self.run).map_or(0, |followed| followed.progress.receiver_count());
        (followers > 1).then_some(&*self.pages)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut watched = self.hub.lock();
        // The receiver of this subscription still counts.
        if watched.get(&self.run).is_some_and(|followed| followed.progress.receiver_count() <= 1) {
            watched.remove(&self.run);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::message::LiveRun;

    #[test]
    fn followers_are_woken_forward_only_and_forgotten_when_they_leave() {
        let (hub, run) = (Hub::default(), RunId::new());
        let one = hub.subscribe(&run, Progress { last_seq: 3, terminal: false });
        let other = hub.subscribe(&run, Progress { last_seq: 1, terminal: false });
        assert_eq!(other.progress.borrow().last_seq, 3);
        let notice =
            |last_seq, terminal| LiveNotice { runs: vec![LiveRun { run_id: run.clone(), last_seq, terminal }] };
        hub.pass_on(&notice(9, true));
        hub.pass_on(&notice(5, false));
        assert_eq!(*one.progress.borrow(), Progress { last_seq: 9, terminal: true });
        drop(one);
        assert_eq!(hub.lock().len(), 1);
        drop(other);
        assert!(hub.lock().is_empty());
    }
}
