//! Between the writer of the tables and the registrar beside it: what is to be registered, and whether it is.

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
    /// Files were written since it got that.
    wrote: bool,
    /// Since when the catalog has lacked something.
    behind_since: Option<Instant>,
    metrics: IcebergMetrics,
}

impl Link {
    /// With what the registrar needs. Whoever wrote the tables before may have left something to register.
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

    /// Whether the catalog has everything that is written.
    pub(crate) fn is_in_sync(&self) -> bool {
        self.behind_since.is_none()
    }

    pub(crate) fn wants_order(&self) -> bool {
        !self.busy && !self.is_in_sync()
    }

    /// All files that count.
    pub(crate) fn order(&mut self, written: Vec<Written>) {
        // One that is not busy takes it.
        self.busy = self.orders.try_send(written).is_ok();
        self.wrote &= !self.busy;
    }

    /// Waits for the registrar to end what it has been told, if anything.
    pub(crate) async fn ended(&mut self) {
        match self.outcomes.recv().await {
            Some(registered) => self.note(registered),
            // It is gone, and the writer is about to go, too.
            None => std::future::pending().await,
        }
    }

    /// Takes note of what has ended.
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
        // Whether it worked, whether something was written meanwhile, and what follows.
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
