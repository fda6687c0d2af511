//! A running service: what it works on, in which order that stops, and where operators look at it.
//!
//! A service has two kinds of tasks. **Work** takes things on and is drained: from the shutdown on it takes nothing new and has
//! until the deadline to finish what it took. What runs **beside** the work (relays, gauges, sweeps) serves it, and is stopped
//! only when the work has ended.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::ops::{Ops, OpsConfig};

/// How a service stops.
#[derive(Debug, Clone, Copy)]
pub struct Drain {
    /// From the shutdown to the end of the work, and from there to the end of what runs beside it.
    pub deadline: Duration,
    pub overdue: Overdue,
}

/// What happens to work that the drain deadline finds unfinished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overdue {
    /// It is dropped where it is: whatever it took was not acknowledged and comes again.
    Dropped,
    /// It is told by [`Service::aborted`] and awaited: it has something to end itself, such as sandboxes.
    Aborted,
}

/// The tasks of one service. Dropping it drops them.
#[derive(Debug)]
pub struct Service {
    name: &'static str,
    drain: Drain,
    work: JoinSet<()>,
    beside: JoinSet<()>,
    ops_address: SocketAddr,
    shutdown: CancellationToken,
    aborted: CancellationToken,
    /// Canceled at the latest when this is dropped.
    drained: DropGuard,
}

impl Service {
    /// Serves health and metrics, until all work has ended, so that a drain can be watched.
    pub async fn start(
        name: &'static str,
        drain: Drain,
        shutdown: CancellationToken,
        ops: &Ops,
        config: &OpsConfig,
    ) -> std::io::Result<Self> {
        let drained = CancellationToken::new();
        let ops_address = ops.serve(config, drained.clone()).await?;
        Ok(Self {
            name,
            drain,
            work: JoinSet::new(),
            beside: JoinSet::new(),
            ops_address,
            shutdown,
            aborted: CancellationToken::new(),
            drained: drained.drop_guard(),
        })
    }

    /// Canceled when the service is to take nothing new: for work.
    pub fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Canceled when the drain deadline has passed: for work that must end something itself.
    pub fn aborted(&self) -> CancellationToken {
        self.aborted.clone()
    }

    /// Canceled when all work has ended: for what runs beside it.
    pub fn drained(&self) -> CancellationToken {
        self.drained.token().clone()
    }

    /// Starts work, which ends some time after [`Self::shutdown`].
    pub fn work(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.work.spawn(task);
    }

    /// Starts what runs beside the work, and ends soon after [`Self::drained`].
    pub fn beside(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.beside.spawn(task);
    }

    /// Where health and metrics are served.
    pub fn ops_address(&self) -> SocketAddr {
        self.ops_address
    }

    /// Waits for the shutdown, then for the work, then for what runs beside it; for each of the two no longer than the
    /// deadline, except for work that is aborted.
    pub async fn finished(mut self) {
        let Drain { deadline, overdue } = self.drain;
        let passed = async {
            self.shutdown.cancelled().await;
            tokio::time::sleep(deadline).await;
        };
        tokio::select! {
            () = all(&mut self.work) => {}
            () = passed => {
                tracing::warn!(service = self.name, ?deadline, "the drain deadline has passed: unfinished work is left behind");
                self.aborted.cancel();
                match overdue {
                    Overdue::Dropped => self.work.shutdown().await,
                    Overdue::Aborted => all(&mut self.work).await,
                }
            }
        }
        drop(self.drained);
        if tokio::time::timeout(deadline, all(&mut self.beside)).await.is_err() {
            tracing::warn!(service = self.name, ?deadline, "tasks beside the work did not stop in time");
        }
        tracing::info!(service = self.name, "stopped");
    }
}

async fn all(tasks: &mut JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}
