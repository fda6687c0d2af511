//! Housekeeping: removes segments of runs that were sealed a while ago, and refreshes gauges. Safe to run anywhere.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::db::{lake_files, log_entries, seals, segments};

const INTERVAL: Duration = Duration::from_secs(5);
/// Runs cleaned in one statement.
const BATCH: i64 = 500;

pub(crate) async fn work(context: Context, shutdown: CancellationToken) {
    loop {
        let mut wait = INTERVAL;
        match sweep(&context).await {
            Ok(pruned) if pruned >= BATCH.unsigned_abs() => wait = Duration::ZERO,
            Ok(_) => {}
            Err(error) => tracing::warn!(error = %format!("{error:#}"), "housekeeping failed, trying again later"),
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

async fn sweep(context: &Context) -> anyhow::Result<u64> {
    let client = context.pool.get().await?;
    context.metrics.log_lag_seconds.set(log_entries::lag_seconds(&client).await?);
    context.metrics.tables_lag_seconds.set(lake_files::lag_seconds(&client).await?);
    context.metrics.unsealed.set(seals::count_unsealed(&client).await?);
    Ok(segments::prune(&client, context.segment_retention, BATCH).await?)
}
