//! The link between the writer of the tables and the registrar beside it: orders go one way, outcomes the other.

use std::time::Instant;

use tokio::sync::mpsc;

use super::metrics::IcebergMetrics;
use crate::db::lake_files::Written;

/// The writer's end.
#[derive(Debug)]
pub(crate) struct Link {
    orders: mpsc::Sender<Vec<Written>>,
    outcomes: mpsc::Receiver<bool>,
    /// The registrar has an order.
    busy: bool,
    /// Files were written since the registrar got its last order.
    wrote: bool,
    /// Beginning of the time in which the catalog has lacked something.
    behind_since: Option<Instant>,
    metrics: IcebergMetrics,
}

impl Link {
    /// Returns the writer's end, then the registrar's. The writer before this one may have left something to register.
    pub(crate) fn new(metrics: &IcebergMetrics) -> (Self, mpsc::Receiver<Vec<Written>>, mpsc::Sender<bool>) {
        let (orders, taken) = mpsc::channel(1);
        let (told, outcomes) = mpsc::channel(1);
        let metrics = metrics.clone();
        let link = Self { orders, outcomes, busy: false, wrote: true, behind_since: Some(Instant::now()), metrics };
        (link, taken, told)
    }

    pub(crate) fn wrote(&mut self) {
        self.wrote = true;
        self.behind_since.get_or_insert_with(Instant::now);
    }

    /// True if the catalog has all files that are written.
    pub(crate) fn is_in_sync(&self) -> bool {
        self.behind_since.is_none()
    }

    pub(crate) fn wants_order(&self) -> bool {
        !self.busy && !self.is_in_sync()
    }

    /// Orders the registration of all files that count.
    pub(crate) fn order(&mut self, written: Vec<Written>) {
        // A registrar that is not busy takes the order.
        self.busy = self.orders.try_send(written).is_ok();
        self.wrote &= !self.busy;
    }

    /// Waits until the registrar has ended its order, if it has one.
    pub(crate) async fn ended(&mut self) {
        match self.outcomes.recv().await {
            Some(registered) => self.note(registered),
            // The registrar is gone, and the writer is about to go, too.
            None => std::future::pending().await,
        }
    }

    /// Notes an outcome, if there is one.
    pub(crate) fn look(&mut self) {
        if let Ok(registered) = self.outcomes.try_recv() {
            self.note(registered);
        }
        self.show();
    }

    fn show(&self) {
        let behind = self.behind_since.map_or(0.0, |since| since.elapsed().as_secs_f64());
        self.metrics.behind_seconds.set(behind);
    }

    fn note(&mut self, registered: bool) {
        self.busy = false;
        if registered && !self.wrote {
            self.behind_since = None;
        }
        self.wrote |= !registered;
        self.show();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_catalog_is_in_sync_when_the_last_order_was_and_nothing_was_written_since() {
        let metrics = IcebergMetrics::register(&prometheus::Registry::new()).unwrap();
        let (mut link, mut orders, outcomes) = Link::new(&metrics);
        assert!(link.wants_order());
        // The outcome, a write in the meantime, and the expected state.
        for (registered, wrote, in_sync) in [(false, false, false), (true, true, false), (true, false, true)] {
            link.order(Vec::new());
            assert!(!link.wants_order() && !link.is_in_sync());
            orders.recv().await.unwrap();
            if wrote {
                link.wrote();
            }
            outcomes.send(registered).await.unwrap();
            link.ended().await;
            assert_eq!((link.is_in_sync(), link.wants_order()), (in_sync, !in_sync));
        }
        link.wrote();
        assert!(link.wants_order());
    }
}
