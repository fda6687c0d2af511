//! One transaction for a batch of ended runs: ledger, totals, freed slots, and whoever gets them, or waited in vain.

use std::collections::BTreeSet;

use anyhow::Context;
use database::OutboxMessage;
use database::Transaction;
use infra::amqp::Topology;
use infra::task::Next;
use schemas::Timestamp;
use schemas::id::RunId;
use schemas::message::usage::{UsageBatch, UsageEvent};
use schemas::message::{EventMessage, RunEnd, Verdict};
use schemas::run::OutcomeSource;

use crate::service::Parts;
use crate::tables::{ledger, reservations, totals};

/// What became of waiting runs.
#[derive(Default)]
struct Decided {
    letters: Vec<OutboxMessage>,
    admitted: u64,
    given_up: u64,
}

pub(crate) async fn record(parts: &Parts, batches: &[UsageBatch]) -> anyhow::Result<()> {
    let mut client = parts.pool.get().await.context("no database connection")?;
    let transaction = client.transaction().await?;
    let events: Vec<&UsageEvent> = batches.iter().flat_map(|batch| &batch.events).collect();
    let fresh = ledger::insert(&transaction, &events).await?;
    totals::add(&transaction, &fresh).await?;
    let runs: Vec<&str> = batches.iter().map(|batch| batch.run_id.as_str()).collect();
    let freed = reservations::release(&transaction, &runs).await?;
    let decided = decide(&transaction, &parts.topology, freed).await?;
    parts.outbox.insert(&transaction, &decided.letters).await?;
    transaction.commit().await?;
    parts.outbox.wake();

    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    parts.metrics.usage_events.with_label_values(&["new"]).inc_by(count(fresh.len()));
    parts.metrics.usage_events.with_label_values(&["known"]).inc_by(count(events.len() - fresh.len()));
    decided.count(parts);
    Ok(())
}

/// Admits what a raised limit allows, and gives up what no budget is left for; everything else is decided when a slot is
/// freed.
pub(crate) async fn sweep(parts: Parts) -> anyhow::Result<Next> {
    let mut client = parts.pool.get().await.context("no database connection")?;
    let (active, waiting) = reservations::count(&client).await?;
    parts.metrics.reservations.with_label_values(&["active"]).set(active);
    parts.metrics.reservations.with_label_values(&["waiting"]).set(waiting);
    if waiting == 0 {
        return Ok(Next::AfterInterval);
    }
    let projects = reservations::projects_waiting(&client).await?;
    let transaction = client.transaction().await?;
    let decided = decide(&transaction, &parts.topology, projects).await?;
    parts.outbox.insert(&transaction, &decided.letters).await?;
    transaction.commit().await?;
    parts.outbox.wake();
    decided.count(&parts);
    Ok(Next::AfterInterval)
}

impl Decided {
    fn count(&self, parts: &Parts) {
        parts.metrics.admitted.inc_by(self.admitted);
        parts.metrics.given_up.inc_by(self.given_up);
    }
}

/// Projects are locked in one order, so that two batches never wait for each other.
async fn decide(
    transaction: &Transaction<'_>,
    topology: &Topology,
    projects: BTreeSet<reservations::Project>,
) -> anyhow::Result<Decided> {
    let mut decided = Decided::default();
    for project in projects {
        for (run, traceparent) in reservations::give_up(transaction, &project).await? {
            decided.letters.push(given_up(topology, run.parse()?, traceparent)?);
            decided.given_up += 1;
        }
        for job in reservations::admit(transaction, &project).await? {
            decided.letters.push(job);
            decided.admitted += 1;
        }
    }
    Ok(decided)
}

/// The ending of a run that waited for a slot when the budget was used up. The collector writes it, like every other.
fn given_up(topology: &Topology, run_id: RunId, traceparent: Option<String>) -> anyhow::Result<OutboxMessage> {
    let end = RunEnd::Abandoned {
        reason: Verdict::Canceled,
        source: OutcomeSource::Quota,
        at: Timestamp::now(),
        message: Some("the run waited for a slot when the organization had used what its plan includes".to_owned()),
    };
    let target = topology.events_of(&run_id);
    let message = EventMessage { run_id, attempt: 0, segment: None, end: Some(end) };
    Ok(OutboxMessage::event(target, message.encode()?, traceparent))
}
