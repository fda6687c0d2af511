//! Registers the tables in an Apache Iceberg catalog: the same Parquet files, which engines then see as of one moment, each
//! row once, whatever is being written or compacted.
//!
//! The files are the truth. What a table has in the catalog is compared with them and brought to the same, so a commit
//! whose answer was lost is no trouble, and neither is a catalog that was set back, emptied or replaced.

mod catalog;
mod config;
mod link;
mod manifest;
mod metadata;
mod plan;
mod state;
mod table;

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context;
use infra::s3::Store;
use prometheus::{Gauge, IntCounter, IntCounterVec, Opts, Registry};
use reqwest::Url;
use schemas::lake::{TABLES, Table};
use tokio::sync::mpsc;

pub use self::config::{Credential, IcebergConfig};
pub(super) use self::link::Link;

use self::catalog::Catalog;
use self::plan::Rows;
use self::table::IcebergTable;
use super::files;
use crate::tables::lake_files::Written;

/// After what failed.
const RETRY_DELAY: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
pub(crate) struct IcebergMetrics {
    commits: IntCounterVec,
    errors: IntCounter,
    behind_seconds: Gauge,
}

impl IcebergMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            commits: IntCounterVec::new(
                Opts::new(
                    "crownest_collector_iceberg_commits_total",
                    "Snapshots that were committed to the Iceberg catalog, by operation",
                ),
                &["operation"],
            )?,
            errors: IntCounter::new(
                "crownest_collector_iceberg_errors_total",
                "How often the tables could not be registered in the Iceberg catalog; it is tried again",
            )?,
            behind_seconds: Gauge::new(
                "crownest_collector_iceberg_behind_seconds",
                "How long the Iceberg catalog has lacked files that are written; 0 if it has all",
            )?,
        };
        registry.register(Box::new(metrics.commits.clone()))?;
        registry.register(Box::new(metrics.errors.clone()))?;
        registry.register(Box::new(metrics.behind_seconds.clone()))?;
        Ok(metrics)
    }
}

/// Works beside the writer of the tables, which does not wait for a catalog.
#[derive(Debug)]
pub(super) struct Registrar {
    catalog: Catalog,
    store: Store,
    keep: Duration,
    tables: HashMap<&'static str, IcebergTable>,
    metrics: IcebergMetrics,
}

impl Registrar {
    pub(super) fn new(
        uri: &Url,
        config: &IcebergConfig,
        store: &Store,
        metrics: &IcebergMetrics,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            catalog: Catalog::new(uri, config)?,
            store: store.clone(),
            keep: Duration::from_millis(config.iceberg_keep_snapshots_ms),
            tables: HashMap::new(),
            metrics: metrics.clone(),
        })
    }

    /// Registers what it is told, and tells whether that worked. It never tries again by itself: a list is only as good as the
    /// writer's lock, and whoever has the lock now will tell.
    pub(super) async fn work(mut self, mut orders: mpsc::Receiver<Vec<Written>>, outcomes: mpsc::Sender<bool>) {
        while let Some(written) = orders.recv().await {
            let registered = self.register(&written).await;
            if let Err(error) = &registered {
                self.metrics.errors.inc();
                tracing::warn!(error = %format!("{error:#}"), "the tables could not be registered in the Iceberg catalog");
                tokio::time::sleep(RETRY_DELAY).await;
            }
            if outcomes.send(registered.is_ok()).await.is_err() {
                return;
            }
        }
    }

    /// Each table by itself: trouble with one is none of the others.
    async fn register(&mut self, written: &[Written]) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        for table in TABLES {
            let registered = self.register_table(table, written).await;
            outcome = outcome.and(registered.with_context(|| format!("table `{}`", table.name)));
        }
        outcome
    }

    async fn register_table(&mut self, table: &'static Table, written: &[Written]) -> anyhow::Result<()> {
        let wanted: Rows = written
            .iter()
            .filter_map(|file| Some((files::name(table, file.batches), *file.rows.get(table.name)?)))
            .filter(|(_, rows)| *rows > 0)
            .collect();
        let known = self.tables.remove(table.name);
        let mut known = IcebergTable::open(&mut self.catalog, &self.store, table, known).await?;
        for operation in known.register(&mut self.catalog, &self.store, &wanted, self.keep).await? {
            self.metrics.commits.with_label_values(&[operation.as_str()]).inc();
        }
        // One that failed is not known any more: the next time begins with what the catalog says.
        self.tables.insert(table.name, known);
        Ok(())
    }
}
