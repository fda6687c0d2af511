//! One transaction for a group of ended runs: ledger, totals, freed slots, and what becomes of the runs that wait for them.

use anyhow::Context as _;
use schemas::id::RunId;
use schemas::message::usage::{UsageBatch, UsageEvent};

use crate::admission::queue;
use crate::context::Context;
use crate::db::{ledger, reservations, totals};

pub(super) async fn record(context: &Context, group: &[&UsageBatch]) -> anyhow::Result<()> {
    let mut client = context.pool.get().await.context("no database connection")?;
    let transaction = client.transaction().await?;
    let events: Vec<&UsageEvent> = group.iter().flat_map(|usage| &usage.events).collect();
    let new = ledger::insert(&transaction, &events).await?;
    totals::add(&transaction, &new).await?;
    let runs: Vec<&RunId> = group.iter().map(|usage| &usage.run_id).collect();
    let freed = reservations::release(&transaction, &runs).await?;
    let decided = queue::decide(&transaction, &context.topology, freed).await?;
    context.outbox.insert(&transaction, &decided.messages).await?;
    transaction.commit().await?;
    context.outbox.wake();

    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    context.metrics.usage_events.with_label_values(&["new"]).inc_by(count(new.len()));
    context.metrics.usage_events.with_label_values(&["known"]).inc_by(count(events.len() - new.len()));
    decided.count(&context.metrics);
    Ok(())
}
