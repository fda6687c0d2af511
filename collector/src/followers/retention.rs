//! Deletes artifacts: expired artifacts are marked, marked artifacts leave a tombstone and then the store. Every step
//! may be repeated, and any number of collectors may do this at once.

mod metrics;
mod purge;

use std::time::Duration;

use infra::task::{Next, every};
use tokio_util::sync::CancellationToken;

pub(crate) use self::metrics::RetentionMetrics;
use crate::context::Context;
use crate::db::artifacts;

/// Artifacts marked in one transaction.
const EXPIRE: i64 = 500;

pub(crate) async fn work(context: Context, metrics: RetentionMetrics, interval: Duration, shutdown: CancellationToken) {
    let look = async || {
        let next = sweep(&context, &metrics).await;
        next.inspect_err(|_| context.metrics.retries.with_label_values(&["retention"]).inc())
    };
    every(interval, "delete expired artifacts", shutdown, look).await;
}

async fn sweep(context: &Context, metrics: &RetentionMetrics) -> anyhow::Result<Next> {
    let mut client = context.pool.get().await?;
    let transaction = client.transaction().await?;
    let expired = artifacts::expire(&transaction, EXPIRE).await?;
    transaction.commit().await?;
    let purged = purge::group(context, metrics, &mut client).await?;
    let due = artifacts::due(&client).await?;
    metrics.held.set(due.held);
    metrics.overdue_seconds.set(due.oldest_seconds);
    let full = expired >= EXPIRE.unsigned_abs() || purged >= purge::GROUP.unsigned_abs();
    Ok(if full { Next::AtOnce } else { Next::AfterInterval })
}
