//! The append-only log of all evidence: sealed runs get entries in a Merkle log in the object store, a moment after their
//! seal and without holding it up. Over all collectors one at a time writes it.

mod batch;
mod config;
mod objects;
mod sequencer;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use database::PostgresConfig;
use infra::s3::Store;
use prometheus::{Histogram, HistogramOpts, IntGauge, Registry};
use tokio_util::sync::CancellationToken;

use crate::signing::Signer;

pub use self::config::TransparencyConfig;
use self::sequencer::{BATCH, Sequencer};

/// A batch begins at most this long after a run was sealed, if the one before was not full.
const INTERVAL: Duration = Duration::from_secs(1);
const RETRY_DELAY: Duration = Duration::from_secs(2);
/// Held by the session that writes the log, in the database whose log it is.
const LOCK: i64 = 0x7472_616e_7370_6172;

/// What the log's writer works with.
#[derive(Debug)]
pub(crate) struct Log {
    /// For one connection: whoever writes the log keeps it.
    pub postgres: PostgresConfig,
    pub store: Store,
    pub signer: Arc<Signer>,
    pub config: TransparencyConfig,
    pub metrics: LogMetrics,
}

#[derive(Debug, Clone)]
pub(crate) struct LogMetrics {
    pub size: IntGauge,
    pub batch_seconds: Histogram,
}

impl LogMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            size: IntGauge::new("crownest_collector_evidence_log_entries", "Entries of the published evidence log")?,
            batch_seconds: Histogram::with_opts(
                HistogramOpts::new(
                    "crownest_collector_evidence_log_batch_seconds",
                    "From the assignment of entries to the published checkpoint",
                )
                .buckets(prometheus::exponential_buckets(0.004, 2.0, 13)?),
            )?,
        };
        registry.register(Box::new(metrics.size.clone()))?;
        registry.register(Box::new(metrics.batch_seconds.clone()))?;
        Ok(metrics)
    }
}

pub(crate) async fn work(log: Log, shutdown: CancellationToken) {
    loop {
        let worked = tokio::select! {
            worked = write(&log) => worked,
            () = shutdown.cancelled() => return,
        };
        if let Err(error) = worked {
            tracing::warn!(error = %format!("{error:#}"), "the evidence log could not be continued, trying again");
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY_DELAY) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// Writes the log for as long as this session holds the lock. Interrupted at any point it can be resumed, here or elsewhere.
async fn write(log: &Log) -> anyhow::Result<()> {
    // Of its own, so that the session ends with this call, and the lock with the session.
    let pool = database::open(&log.postgres)?;
    let client = pool.get().await.context("no database connection")?;
    while !client.query_one("select pg_try_advisory_lock($1)", &[&LOCK]).await?.get::<_, bool>(0) {
        // Another collector writes it.
        tokio::time::sleep(INTERVAL).await;
    }
    let mut sequencer = Sequencer::resume(log, client).await?;
    loop {
        if sequencer.step().await? < BATCH {
            tokio::time::sleep(INTERVAL).await;
        }
    }
}
