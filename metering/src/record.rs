//! One transaction for a batch of ended runs: ledger, totals, freed slots, and whoever gets them.

use std::collections::BTreeSet;

use anyhow::Context;
use infra::outbox::Letter;
use infra::postgres::Transaction;
use schemas::usage::{UsageBatch, UsageEvent};

use crate::service::Parts;
use crate::tables::{ledger, reservations, totals};

pub(crate) async fn record(parts: &Parts, batches: &[UsageBatch]) -> anyhow::Result<()> {
    let mut client = parts.pool.get().await.context("no database connection")?;
    let transaction = client.transaction().await?;
    let events: Vec<&UsageEvent> = batches.iter().flat_map(|batch| &batch.events).collect();
    let fresh = ledger::insert(&transaction, &events).await?;
    totals::add(&transaction, &fresh).await?;
    let runs: Vec<&str> = batches.iter().map(|batch| batch.run_id.as_str()).collect();
    let freed = reservations::release(&transaction, &runs).await?;
    let admitted = admit(&transaction, freed).await?;
    parts.outbox.insert(&transaction, &admitted).await?;
    transaction.commit().await?;
    parts.outbox.wake();

    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    parts.metrics.usage_events.with_label_values(&["new"]).inc_by(count(fresh.len()));
    parts.metrics.usage_events.with_label_values(&["known"]).inc_by(count(events.len() - fresh.len()));
    parts.metrics.admitted.inc_by(count(admitted.len()));
    Ok(())
}

/// Admits what a raised limit allows; everything else is admitted when a slot is freed.
pub(crate) async fn sweep(parts: &Parts) -> anyhow::Result<()> {
    let mut client = parts.pool.get().await.context("no database connection")?;
    let (active, waiting) = reservations::count(&client).await?;
    parts.metrics.reservations.with_label_values(&["active"]).set(active);
    parts.metrics.reservations.with_label_values(&["waiting"]).set(waiting);
    if waiting == 0 {
        return Ok(());
    }
    let projects = reservations::projects_waiting(&client).await?;
    let transaction = client.transaction().await?;
    let admitted = admit(&transaction, projects).await?;
    parts.outbox.insert(&transaction, &admitted).await?;
    transaction.commit().await?;
    parts.outbox.wake();
    parts.metrics.admitted.inc_by(u64::try_from(admitted.len()).unwrap_or(u64::MAX));
    Ok(())
}

/// Projects are locked in one order, so that two batches never wait for each other.
async fn admit(
    transaction: &Transaction<'_>,
    projects: BTreeSet<reservations::Project>,
) -> anyhow::Result<Vec<Letter>> {
    let mut letters = Vec::new();
    for project in projects {
        letters.extend(reservations::admit(transaction, &project).await?);
    }
    Ok(letters)
}
