//! Registers the tables in an Apache Iceberg catalog: the same Parquet files, which engines then see as of one moment, each
//! row once, whatever is being written or compacted.
//!
//! The files are the truth. What a table has in the catalog is compared with them and brought to the same, so a commit
//! whose answer was lost is no trouble, and neither is a catalog that was set back, emptied or replaced.

mod catalog;
mod config;
mod manifest;
mod metadata;
mod plan;
mod state;
mod table;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Context;
use infra::s3::Store;
use prometheus::{Gauge, IntCounter, IntCounterVec, Opts, Registry};
use schemas::lake::{TABLES, Table};

pub use self::config::IcebergConfig;

use self::catalog::Catalog;
use self::plan::Rows;
use self::table::IcebergTable;
use super::files;
use crate::tables::lake_files::Written;

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

/// In the hands of the one writer of the tables.
#[derive(Debug)]
pub(super) struct Iceberg {
    catalog: Catalog,
    keep: Duration,
    tables: HashMap<&'static str, IcebergTable>,
    /// Since when there has been something to register.
    behind_since: Option<Instant>,
    metrics: IcebergMetrics,
}

impl Iceberg {
    /// `None` if no catalog is configured.
    pub(super) fn open(config: &IcebergConfig, metrics: &IcebergMetrics) -> anyhow::Result<Option<Self>> {
        let Some(uri) = &config.iceberg_uri else { return Ok(None) };
        Ok(Some(Self {
            catalog: Catalog::new(uri, config)?,
            keep: Duration::from_millis(config.iceberg_keep_snapshots_ms),
            tables: HashMap::new(),
            // Whoever wrote the tables before may have left something.
            behind_since: Some(Instant::now()),
            metrics: metrics.clone(),
        }))
    }

    /// Files were written since.
    pub(super) fn wrote(&mut self) {
        self.behind_since.get_or_insert_with(Instant::now);
    }

    /// Whether the catalog may lack something, or have too much.
    pub(super) fn is_behind(&self) -> bool {
        self.behind_since.is_some()
    }

    /// Brings the catalog to these files, which are all that count. False if that failed: then it is to be tried again.
    pub(super) async fn register(&mut self, store: &Store, written: &[Written]) -> bool {
        let registered = self.try_register(store, written).await;
        match &registered {
            Ok(()) => self.behind_since = None,
            Err(error) => {
                self.metrics.errors.inc();
                tracing::warn!(error = %format!("{error:#}"), "the tables could not be registered in the Iceberg catalog");
            }
        }
        let behind = self.behind_since.map_or(0.0, |since| since.elapsed().as_secs_f64());
        self.metrics.behind_seconds.set(behind);
        registered.is_ok()
    }

    /// Each table by itself: trouble with one is none of the others.
    async fn try_register(&mut self, store: &Store, written: &[Written]) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        for table in TABLES {
            let registered = self.register_table(store, table, written).await;
            outcome = outcome.and(registered.with_context(|| format!("table `{}`", table.name)));
        }
        outcome
    }

    async fn register_table(
        &mut self,
        store: &Store,
        table: &'static Table,
        written: &[Written],
    ) -> anyhow::Result<()> {
        let wanted: Rows = written
            .iter()
            .filter_map(|file| Some((files::name(table, file.batches), *file.rows.get(table.name)?)))
            .filter(|(_, rows)| *rows > 0)
            .collect();
        let mut known = match self.tables.remove(table.name) {
            Some(known) => known,
            None => IcebergTable::open(&mut self.catalog, store, table).await?,
        };
        for operation in known.register(&mut self.catalog, store, &wanted, self.keep).await? {
            self.metrics.commits.with_label_values(&[operation.as_str()]).inc();
        }
        // One that failed is not known any more: the next time begins with what the catalog says.
        self.tables.insert(table.name, known);
        Ok(())
    }
}
