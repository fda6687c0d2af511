//! Housekeeping: removes segments of runs that were sealed a while ago, and refreshes gauges. Any number of collectors
//! may do this at once.

use std::time::Duration;

use infra::task::{Next, every};
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::db::{lake_files, log_entries, seals, segments};

const INTERVAL: Duration = Duration::from_secs(5);
/// Runs cleaned in one statement.
const RUNS: i64 = 500;

pub(crate) async fn work(context: Context, shutdown: CancellationToken) {
    every(INTERVAL, "keep house", shutdown, || sweep(&context)).await;
}

async fn sweep(context: &Context) -> anyhow::Result<Next> {
    let client = context.pool.get().await?;
    context.metrics.log_lag_seconds.set(log_entries::lag_seconds(&client).await?);
    context.metrics.tables_lag_seconds.set(lake_files::lag_seconds(&client).await?);
    context.metrics.unsealed.set(seals::count_unsealed(&client).await?);
    let pruned = segments::prune(&client, context.segment_retention, RUNS).await?;
    Ok(Next::after(pruned, RUNS.unsigned_abs()))
}
