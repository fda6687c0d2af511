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

/// Time for work that was aborted to end: it hears of that everywhere within 2 s.
const ABORT_WITHIN: Duration = Duration::from_secs(5);

/// The way a service stops.
#[derive(Debug, Clone, Copy)]
pub struct Drain {
    /// Maximum time from the shutdown to the end of the work, and again to the end of the tasks beside it.
    pub deadline: Duration,
    pub overdue: Overdue,
}

/// The fate of work that the drain deadline finds unfinished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overdue {
    /// Unfinished tasks are dropped. Their messages were not acknowledged, so the broker delivers them again.
    Dropped,
    /// Unfinished tasks hear [`Service::aborted`] and are awaited for a moment, because they must end something, such as
    /// sandboxes.
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

    /// A token for work: canceled when the service is to take nothing new.
    pub fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// A token for work that must end something itself: canceled when the drain deadline has passed.
    pub fn aborted(&self) -> CancellationToken {
        self.aborted.clone()
    }

    /// A token for tasks beside the work: canceled when all work has ended.
    pub fn drained(&self) -> CancellationToken {
        self.drained.token().clone()
    }

    /// Starts work, which ends some time after [`Self::shutdown`].
    pub fn work(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.work.spawn(task);
    }

    /// Starts a task beside the work, which ends soon after [`Self::drained`].
    pub fn beside(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.beside.spawn(task);
    }

    /// The address of health and metrics.
    pub fn ops_address(&self) -> SocketAddr {
        self.ops_address
    }

    /// Waits for the shutdown, then for the work, then for the tasks beside it. The deadline bounds each of the two waits;
    /// work that is aborted has a few seconds more.
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
                    Overdue::Aborted => {
                        if tokio::time::timeout(ABORT_WITHIN, all(&mut self.work)).await.is_err() {
                            tracing::error!(service = self.name, "aborted work did not end and is dropped");
                            self.work.shutdown().await;
                        }
                    }
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
