//! Deletes artifacts: what has expired is marked, what is marked leaves a tombstone and then the store. Every step may be
//! repeated, and any number of collectors may do it at once.

mod metrics;
mod purge;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::db::artifacts;

pub(crate) use self::metrics::RetentionMetrics;

/// Marked in one transaction.
const EXPIRE: i64 = 500;

pub(crate) async fn work(context: Context, metrics: RetentionMetrics, interval: Duration, shutdown: CancellationToken) {
    loop {
        let wait = match sweep(&context, &metrics).await {
            Ok(More::Now) => Duration::ZERO,
            Ok(More::Later) => interval,
            Err(error) => {
                context.metrics.retries.with_label_values(&["retention"]).inc();
                tracing::warn!(error = %format!("{error:#}"), "retention failed, trying again later");
                interval
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// Whether there is more to do at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum More {
    Now,
    Later,
}

async fn sweep(context: &Context, metrics: &RetentionMetrics) -> anyhow::Result<More> {
    let mut client = context.pool.get().await?;
    let transaction = client.transaction().await?;
    let expired = artifacts::expire(&transaction, EXPIRE).await?;
    transaction.commit().await?;
    let purged = purge::group(context, metrics, &mut client).await?;
    let due = artifacts::due(&client).await?;
    metrics.held.set(due.held);
    metrics.overdue_seconds.set(due.oldest_seconds);
    let full = expired >= EXPIRE.unsigned_abs() || purged >= purge::GROUP.unsigned_abs();
    Ok(if full { More::Now } else { More::Later })
}
