//! Deletes artifacts: what has expired is marked, what is marked leaves a tombstone and then the store. Every step may be
//! repeated, and any number of collectors may do it at once.

mod purge;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::service::Parts;
use crate::tables::artifacts;

/// Marked in one transaction.
const EXPIRE_BATCH: i64 = 500;

pub(crate) async fn work(parts: Parts, interval: Duration, shutdown: CancellationToken) {
    loop {
        let wait = match sweep(&parts).await {
            Ok(More::Now) => Duration::ZERO,
            Ok(More::Later) => interval,
            Err(error) => {
                parts.metrics.retries.with_label_values(&["retention"]).inc();
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

async fn sweep(parts: &Parts) -> anyhow::Result<More> {
    let mut client = parts.pool.get().await?;
    let transaction = client.transaction().await?;
    let expired = artifacts::expire(&transaction, EXPIRE_BATCH).await?;
    transaction.commit().await?;
    let purged = purge::batch(parts, &mut client).await?;
    let due = artifacts::due(&client).await?;
    parts.metrics.artifacts_held.set(due.held);
    parts.metrics.retention_overdue_seconds.set(due.oldest_seconds);
    let full = expired >= EXPIRE_BATCH.unsigned_abs() || purged >= purge::BATCH.unsigned_abs();
    Ok(if full { More::Now } else { More::Later })
}
