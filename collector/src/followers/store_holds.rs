//! Legal holds in the store (S3 Object Lock): objects of sealed runs get and lose their hold as the database says.
//! Every step may be repeated, and any number of collectors may do this at once; a due run stays in the database until
//! it is done.

use std::time::Duration;

use database::Client;
use futures_util::{StreamExt, stream};
use infra::s3::LegalHold;
use infra::task::{Next, every};
use prometheus::{
    Gauge, IntCounterVec, IntGauge, Registry, register_gauge_with_registry, register_int_counter_vec_with_registry,
    register_int_gauge_with_registry,
};
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::db::store_holds::{self, Due};

/// Runs in one transaction, all concurrent. Few, since it locks their rows, and a change of their holds waits.
const GROUP: i64 = 8;
const CONCURRENT: usize = 8;
/// Delay before a failed run is retried, so that it does not keep others from their turn.
const RETRY_AFTER: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub(crate) struct HoldMetrics {
    changed: IntCounterVec,
    pending: IntGauge,
    overdue_seconds: Gauge,
}

impl HoldMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            changed: register_int_counter_vec_with_registry!(
                "crownest_collector_store_holds_total",
                "Runs whose objects got or lost a legal hold in the store",
                &["hold"],
                registry
            )?,
            pending: register_int_gauge_with_registry!(
                "crownest_collector_store_holds_pending",
                "Runs whose objects are to get or to lose a legal hold in the store",
                registry
            )?,
            overdue_seconds: register_gauge_with_registry!(
                "crownest_collector_store_holds_overdue_seconds",
                "Seconds for which the oldest of these runs has waited",
                registry
            )?,
        })
    }
}

pub(crate) async fn work(context: Context, metrics: HoldMetrics, interval: Duration, shutdown: CancellationToken) {
    let look = async || {
        let next = sweep(&context, &metrics).await;
        next.inspect_err(|_| context.metrics.retries.with_label_values(&["legal_holds"]).inc())
    };
    every(interval, "bring legal holds to the store", shutdown, look).await;
}

async fn sweep(context: &Context, metrics: &HoldMetrics) -> anyhow::Result<Next> {
    let mut client = context.pool.get().await?;
    // A collector without Object Lock sets no holds; it takes off those that others set.
    if context.vault.locks() {
        store_holds::announce(&client, GROUP).await?;
    }
    let found = group(context, metrics, &mut client).await?;
    if context.vault.locks() {
        let pending = store_holds::pending(&client).await?;
        metrics.pending.set(pending.runs);
        metrics.overdue_seconds.set(pending.oldest_seconds);
    }
    Ok(Next::after(found, GROUP.unsigned_abs()))
}

async fn group(context: &Context, metrics: &HoldMetrics, client: &mut Client) -> anyhow::Result<u64> {
    let transaction = client.transaction().await?;
    let due = store_holds::lock_due(&transaction, GROUP).await?;
    let ended: Vec<(Due, bool)> = stream::iter(due)
        .map(|run| async {
            let done = apply(context, &run).await;
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

/// Changes the holds of a run's objects; true if that worked for all of them.
async fn apply(context: &Context, due: &Due) -> bool {
    let (run, hold) = (&due.run_id, if due.held { LegalHold::On } else { LegalHold::Off });
    match context.store.hold_folder(&due.folder, hold).await {
        Ok(versions) => {
            tracing::info!(%run, ?hold, versions, "changed the legal hold of a run's objects in the store");
            true
        }
        Err(error) => {
            context.metrics.retries.with_label_values(&["legal_hold"]).inc();
            tracing::error!(%run, ?hold, %error, "cannot change the legal hold of a run's objects in the store; retrying");
            false
        }
    }
}
