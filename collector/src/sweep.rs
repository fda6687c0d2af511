//! Housekeeping: removes segments of runs that were sealed a while ago, and refreshes gauges. Safe to run anywhere.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::service::Parts;
use crate::tables::{lake_files, log_entries, seals, segments};

const INTERVAL: Duration = Duration::from_secs(5);
/// Runs cleaned in one statement.
const BATCH: i64 = 500;

pub(crate) async fn work(parts: Parts, shutdown: CancellationToken) {
    loop {
        let mut wait = INTERVAL;
        match sweep(&parts).await {
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

async fn sweep(parts: &Parts) -> anyhow::Result<u64> {
    let client = parts.pool.get().await?;
    parts.metrics.log_lag_seconds.set(log_entries::lag_seconds(&client).await?);
    parts.lake_metrics.lag_seconds.set(lake_files::lag_seconds(&client).await?);
    parts.metrics.unsealed.set(seals::count_unsealed(&client).await?);
    Ok(segments::prune(&client, parts.segment_retention, BATCH).await?)
}
