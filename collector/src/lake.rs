//! Tables of all sealed runs as Parquet files in the object store, a moment after the seal and without holding it up.
//! Over all collectors one at a time writes them.

mod config;
mod evidence;
mod files;
mod iceberg;
mod parquet_file;
mod writer;

use std::time::Duration;

use anyhow::Context;
use database::PostgresConfig;
use infra::s3::Store;
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

pub use self::config::TablesConfig;
pub use self::iceberg::IcebergConfig;
pub(crate) use self::iceberg::IcebergMetrics;
use self::iceberg::{Link, Registrar};
pub use self::parquet_file::{TableFile, TableWriter};
use self::writer::Writer;
use crate::fresh::Fresh;
use crate::tables::lake_files::{Batches, Rows};

const RETRY_DELAY: Duration = Duration::from_secs(2);
/// Between attempts to get the lock.
const LOCK_INTERVAL: Duration = Duration::from_secs(1);
/// Held by the session that writes the tables, in the database whose runs they have.
const LOCK: i64 = 0x7061_7271_7565_7473;

/// What the tables' writer works with.
#[derive(Debug)]
pub(crate) struct Lake {
    /// For one connection: whoever writes the tables keeps it.
    pub postgres: PostgresConfig,
    pub store: Store,
    /// What need not be fetched from it.
    pub fresh: Fresh,
    pub config: TablesConfig,
    pub metrics: LakeMetrics,
    pub iceberg: IcebergConfig,
    pub iceberg_metrics: IcebergMetrics,
}

#[derive(Debug, Clone)]
pub(crate) struct LakeMetrics {
    rows: IntCounterVec,
    files: IntCounterVec,
    seconds: Histogram,
    pub(crate) lag_seconds: Gauge,
    unreadable: IntCounter,
    errors: IntCounter,
}

impl LakeMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            rows: IntCounterVec::new(
                Opts::new("crownest_collector_tables_rows_total", "Rows of new batches, by table"),
                &["table"],
            )?,
            files: IntCounterVec::new(
                Opts::new("crownest_collector_tables_files_total", "Files of batches and of compactions, by kind"),
                &["kind"],
            )?,
            seconds: Histogram::with_opts(
                HistogramOpts::new(
                    "crownest_collector_tables_batch_seconds",
                    "From reading a batch or the files to compact to the last file written",
                )
                .buckets(prometheus::exponential_buckets(0.008, 2.0, 15)?),
            )?,
            lag_seconds: Gauge::new(
                "crownest_collector_tables_lag_seconds",
                "How long the oldest sealed run has waited to be in the tables",
            )?,
            unreadable: IntCounter::new(
                "crownest_collector_tables_unreadable_runs_total",
                "Sealed runs without rows, since their evidence in the store was changed or removed",
            )?,
            errors: IntCounter::new(
                "crownest_collector_tables_errors_total",
                "How often the tables could not be continued and were tried again",
            )?,
        };
        registry.register(Box::new(metrics.rows.clone()))?;
        registry.register(Box::new(metrics.files.clone()))?;
        registry.register(Box::new(metrics.seconds.clone()))?;
        registry.register(Box::new(metrics.lag_seconds.clone()))?;
        registry.register(Box::new(metrics.unreadable.clone()))?;
        registry.register(Box::new(metrics.errors.clone()))?;
        Ok(metrics)
    }

    fn written(&self, batches: Batches, rows: &Rows, took: Duration) {
        let is_batch = batches.first == batches.last;
        self.files.with_label_values(&[if is_batch { "batch" } else { "compacted" }]).inc_by(rows.len() as u64);
        self.seconds.observe(took.as_secs_f64());
        for (table, rows) in rows.iter().filter(|_| is_batch) {
            self.rows.with_label_values(&[table.as_str()]).inc_by(*rows);
        }
    }
}

pub(crate) async fn work(lake: Lake, shutdown: CancellationToken) {
    loop {
        let worked = tokio::select! {
            worked = write(&lake) => worked,
            () = shutdown.cancelled() => return,
        };
        if let Err(error) = worked {
            lake.metrics.errors.inc();
            tracing::warn!(error = %format!("{error:#}"), "the tables could not be continued, trying again");
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY_DELAY) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// Writes the tables for as long as this session holds the lock. Interrupted at any point it goes on, here or elsewhere.
async fn write(lake: &Lake) -> anyhow::Result<()> {
    // Of its own, so that the session ends with this call, and the lock with the session.
    let pool = database::open(&lake.postgres)?;
    let client = pool.get().await.context("no database connection")?;
    while !client.query_one("select pg_try_advisory_lock($1)", &[&LOCK]).await?.get::<_, bool>(0) {
        // Another collector writes them.
        tokio::time::sleep(LOCK_INTERVAL).await;
    }
    let Some(uri) = &lake.iceberg.iceberg_uri else {
        return Writer { lake, client, catalog: None }.work().await;
    };
    let (link, orders, outcomes) = Link::new(&lake.iceberg_metrics);
    let registrar = Registrar::new(uri, &lake.iceberg, &lake.store, &lake.iceberg_metrics)?;
    // It ends with the writer: without the lock it must not go on.
    tokio::select! {
        ended = Writer { lake, client, catalog: Some(link) }.work() => ended,
        () = registrar.work(orders, outcomes) => Ok(()),
    }
}

/// Identifies what a file is made of.
fn digest(members: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let mut hasher = Sha256::new();
    for member in members {
        hasher.update(member.as_ref());
        hasher.update("\n");
    }
    hex::encode(hasher.finalize())
}
