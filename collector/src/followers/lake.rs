//! Tables of all sealed runs as Parquet files in the object store, a moment after the seal and without holding it up.
//! Of all collectors, one at a time writes the tables.

mod config;
mod evidence;
mod files;
mod iceberg;
mod metrics;
mod parquet_file;
mod writer;

use std::time::Duration;

use anyhow::Context as _;
use infra::postgres::{self, PostgresConfig};
use tokio_util::sync::CancellationToken;

pub use self::config::TablesConfig;
pub use self::iceberg::IcebergConfig;
pub(crate) use self::iceberg::IcebergMetrics;
use self::iceberg::{Link, Registrar};
pub(crate) use self::metrics::LakeMetrics;
pub use self::parquet_file::{TableFile, TableWriter};
pub(crate) use self::writer::Lake;
use self::writer::Writer;

const RETRY_DELAY: Duration = Duration::from_secs(2);
/// Between two tries to get the lock.
const LOCK_INTERVAL: Duration = Duration::from_secs(1);
/// Held by the session that writes the tables, in the database whose runs they have.
const LOCK: i64 = 0x7061_7271_7565_7473;

pub(crate) async fn work(lake: Lake, postgres: PostgresConfig, shutdown: CancellationToken) {
    loop {
        let worked = tokio::select! {
            worked = write(&lake, &postgres) => worked,
            () = shutdown.cancelled() => return,
        };
        if let Err(error) = worked {
            lake.metrics.errors.inc();
            tracing::warn!(error = %format!("{error:#}"), "cannot continue the tables; retrying");
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY_DELAY) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// Writes the tables for as long as this session holds the lock. After an interruption another call goes on, here or in
/// another collector.
async fn write(lake: &Lake, postgres: &PostgresConfig) -> anyhow::Result<()> {
    // A pool of its own: the session ends with this call, and the lock with the session.
    let pool = postgres::open(postgres)?;
    let client = pool.get().await.context("no database connection")?;
    while !client.query_one("select pg_try_advisory_lock($1)", &[&LOCK]).await?.get::<_, bool>(0) {
        // Another collector writes the tables.
        tokio::time::sleep(LOCK_INTERVAL).await;
    }
    let Some(uri) = &lake.iceberg.iceberg_uri else {
        return Writer { lake, client, catalog: None }.work().await;
    };
    let (link, orders, outcomes) = Link::new(&lake.iceberg_metrics);
    let registrar = Registrar::new(uri, &lake.iceberg, &lake.store, &lake.iceberg_metrics)?;
    // The registrar ends with the writer: without the lock it must not go on.
    tokio::select! {
        ended = Writer { lake, client, catalog: Some(link) }.work() => ended,
        () = registrar.work(orders, outcomes) => Ok(()),
    }
}
