//! Registers the tables beside their writer, which does not wait for a catalog.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use infra::s3::Store;
use reqwest::Url;
use schemas::lake::{TABLES, Table};
use tokio::sync::mpsc;

use super::catalog::Catalog;
use super::config::IcebergConfig;
use super::metrics::IcebergMetrics;
use super::plan::Rows;
use super::table::IcebergTable;
use crate::db::lake_files::Written;
use crate::followers::lake::files;

/// After a failure.
const RETRY_DELAY: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(in crate::followers::lake) struct Registrar {
    catalog: Catalog,
    store: Store,
    keep: Duration,
    tables: HashMap<&'static str, IcebergTable>,
    metrics: IcebergMetrics,
}

impl Registrar {
    pub(in crate::followers::lake) fn new(
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

    /// Registers the files of each order, and reports the outcome. Never retries by itself: an order is only as good as
    /// the writer's lock, and the writer that holds the lock will send another.
    pub(in crate::followers::lake) async fn work(
        mut self,
        mut orders: mpsc::Receiver<Vec<Written>>,
        outcomes: mpsc::Sender<bool>,
    ) {
        while let Some(written) = orders.recv().await {
            let registered = self.register(&written).await;
            if let Err(error) = &registered {
                self.metrics.errors.inc();
                tracing::warn!(error = %format!("{error:#}"), "cannot register the tables in the Iceberg catalog; retrying");
                tokio::time::sleep(RETRY_DELAY).await;
            }
            if outcomes.send(registered.is_ok()).await.is_err() {
                return;
            }
        }
    }

    /// Registers each table by itself: trouble with one does not touch the others.
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
            .filter_map(|file| Some((files::name(table, file.chunks), *file.rows.get(table.name)?)))
            .filter(|(_, rows)| *rows > 0)
            .collect();
        let known = self.tables.remove(table.name);
        let mut known = IcebergTable::open(&mut self.catalog, &self.store, table, known).await?;
        for operation in known.register(&mut self.catalog, &self.store, &wanted, self.keep).await? {
            self.metrics.commits.with_label_values(&[operation.as_str()]).inc();
        }
        // A table that failed is forgotten: its next registration begins with what the catalog says.
        self.tables.insert(table.name, known);
        Ok(())
    }
}
