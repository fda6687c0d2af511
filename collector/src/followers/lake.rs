//! Tables of all sealed runs as Parquet files in the object store, a moment after the seal and without holding it up.
//! One collector at a time writes the tables.

mod config;
mod evidence;
mod files;
mod iceberg;
mod metrics;
mod parquet_file;
mod writer;

use std::time::Duration;

use database::locks::{self, while_leader};
use database::{Client, PostgresConfig};
use infra::task::{Next, every};
use tokio_util::sync::CancellationToken;

pub use self::config::TablesConfig;
pub(crate) use self::iceberg::IcebergMetrics;
pub use self::iceberg::{Credential, IcebergConfig};
use self::iceberg::{Link, Registrar};
pub(crate) use self::metrics::LakeMetrics;
pub use self::parquet_file::{TableFile, TableWriter};
pub(crate) use self::writer::Lake;
use self::writer::Writer;

const RETRY_DELAY: Duration = Duration::from_secs(2);

/// Writes the tables whenever this collector leads, until `shutdown`. After an interruption another call goes on, here
/// or in another collector.
pub(crate) async fn work(lake: Lake, postgres: PostgresConfig, shutdown: CancellationToken) {
    every(RETRY_DELAY, "continue the tables", shutdown.clone(), async || {
        let led = while_leader(&postgres, locks::TABLES, &shutdown, |client| Box::pin(write(&lake, client))).await;
        led.inspect_err(|_| lake.metrics.errors.inc())?;
        Ok(Next::AfterInterval)
    })
    .await;
}

async fn write(lake: &Lake, client: Client) -> anyhow::Result<()> {
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
