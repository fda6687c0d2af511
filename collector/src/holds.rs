//! Legal holds in the store (S3 Object Lock): objects of sealed runs get and lose theirs as the database says. Every step may
//! be repeated, and any number of collectors may do it at once; what is to do is in the database until it is done.

use std::time::Duration;

use database::Client;
use futures_util::{StreamExt, stream};
use infra::s3::LegalHold;
use prometheus::{Gauge, IntCounterVec, IntGauge, Opts, Registry};
use tokio_util::sync::CancellationToken;

use crate::service::Parts;
use crate::tables::store_holds::{self, Due};

/// Runs in one transaction, all at once. It locks their rows, so that a change of their holds waits: few.
const BATCH: i64 = 8;
const CONCURRENT: usize = 8;
/// Until what failed is tried again, so that it does not keep others from their turn.
const RETRY_AFTER: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub(crate) struct HoldMetrics {
    changed: IntCounterVec,
    pending: IntGauge,
    overdue_seconds: Gauge,
}

impl HoldMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            changed: IntCounterVec::new(
                Opts::new(
                    "crownest_collector_store_holds_total",
                    "Runs whose objects got or lost a legal hold in the store",
                ),
                &["hold"],
            )?,
            pending: IntGauge::new(
                "crownest_collector_store_holds_pending",
                "Runs whose objects are to get or to lose a legal hold in the store",
            )?,
            overdue_seconds: Gauge::new(
                "crownest_collector_store_holds_overdue_seconds",
                "For how long the oldest of them has been waiting",
            )?,
        };
        registry.register(Box::new(metrics.changed.clone()))?;
        registry.register(Box::new(metrics.pending.clone()))?;
        registry.register(Box::new(metrics.overdue_seconds.clone()))?;
        Ok(metrics)
    }
}

pub(crate) async fn work(parts: Parts, metrics: HoldMetrics, interval: Duration, shutdown: CancellationToken) {
    loop {
        let wait = match sweep(&parts, &metrics).await {
            Ok(found) if found >= BATCH.unsigned_abs() => Duration::ZERO,
            Ok(_) => interval,
            Err(error) => {
                parts.metrics.retries.with_label_values(&["legal_holds"]).inc();
                tracing::warn!(error = %format!("{error:#}"), "legal holds could not be brought to the store, trying again later");
                interval
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// Returns how many runs were looked at.
async fn sweep(parts: &Parts, metrics: &HoldMetrics) -> anyhow::Result<u64> {
    let mut client = parts.pool.get().await?;
    // A collector that locks nothing sets none; it takes off what others set.
    if parts.vault.locks() {
        store_holds::announce(&client, BATCH).await?;
    }
    let found = batch(parts, metrics, &mut client).await?;
    if parts.vault.locks() {
        let pending = store_holds::pending(&client).await?;
        metrics.pending.set(pending.runs);
        metrics.overdue_seconds.set(pending.oldest_seconds);
    }
    Ok(found)
}

async fn batch(parts: &Parts, metrics: &HoldMetrics, client: &mut Client) -> anyhow::Result<u64> {
    let transaction = client.transaction().await?;
    let due = store_holds::lock_due(&transaction, BATCH).await?;
    let ended: Vec<(Due, bool)> = stream::iter(due)
        .map(|run| async {
            let done = apply(parts, &run).await;
            (run, done)
        })
        .buffer_unordered(CONCURRENT)
        .collect()
        .await;
    let of = |wanted: fn(&Due, bool) -> bool| -> Vec<&str> {
        ended.iter().filter(|(run, done)| wanted(run, *done)).map(|(run, _)| run.run_id.as_str()).collect()
    };
    let (set, cleared) = (of(|run, done| done && run.held), of(|run, done| done && !run.held));
    store_holds::set(&transaction, &set).await?;
    store_holds::cleared(&transaction, &cleared).await?;
    store_holds::postpone(&transaction, &of(|_, done| !done), RETRY_AFTER).await?;
    transaction.commit().await?;
    for (hold, runs) in [("on", &set), ("off", &cleared)] {
        metrics.changed.with_label_values(&[hold]).inc_by(runs.len() as u64);
    }
    Ok(ended.len() as u64)
}

/// Whether it worked for all objects of the run.
async fn apply(parts: &Parts, due: &Due) -> bool {
    let (run, hold) = (&due.run_id, if due.held { LegalHold::On } else { LegalHold::Off });
    match parts.store.hold_folder(&due.folder, hold).await {
        Ok(versions) => {
            tracing::info!(%run, ?hold, versions, "the store has the legal hold of a run as it should be");
            true
        }
        Err(error) => {
            parts.metrics.retries.with_label_values(&["legal_hold"]).inc();
            tracing::error!(%run, ?hold, %error, "the legal hold of a run's objects could not be changed in the store, trying again");
            false
        }
    }
}
