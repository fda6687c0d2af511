//! The queue of each organization: runs that wait get the slots that become free, the longest wait first.

use std::collections::BTreeSet;

use anyhow::Context as _;
use database::{OutboxMessage, Transaction};
use infra::amqp::Topology;
use infra::task::Next;
use schemas::id::OrgId;

use super::quota;
use crate::context::Context;
use crate::db::reservations;
use crate::metrics::Metrics;

/// Decisions about waiting runs.
#[derive(Default)]
pub(crate) struct Decided {
    /// Jobs of admitted runs, and endings of those that waited in vain.
    pub messages: Vec<OutboxMessage>,
    admitted: u64,
    given_up: u64,
}

impl Decided {
    /// For after the commit.
    pub(crate) fn count(&self, metrics: &Metrics) {
        metrics.admitted.inc_by(self.admitted);
        metrics.given_up.inc_by(self.given_up);
    }
}

/// Decides about the waiting runs of organizations, which are locked in one order, so that two transactions never wait for each
/// other.
pub(crate) async fn decide(
    transaction: &Transaction<'_>,
    topology: &Topology,
    organizations: BTreeSet<OrgId>,
) -> anyhow::Result<Decided> {
    let mut decided = Decided::default();
    for org in organizations {
        for ending in quota::give_up(transaction, topology, &org).await? {
            decided.messages.push(ending);
            decided.given_up += 1;
        }
        for job in admit(transaction, &org).await? {
            decided.messages.push(job);
            decided.admitted += 1;
        }
    }
    Ok(decided)
}

/// With a limit the lock is taken in any case: a run that is being reserved right now has counted the slot that was just freed,
/// and is visible only after its transaction, which holds the lock, has ended.
async fn admit(transaction: &Transaction<'_>, org: &OrgId) -> anyhow::Result<Vec<OutboxMessage>> {
    if !reservations::may_admit(transaction, org).await? {
        return Ok(Vec::new());
    }
    reservations::lock(transaction, org).await?;
    Ok(reservations::admit(transaction, org).await?)
}

/// Admits what a raised limit allows, and gives up runs without a budget. All other decisions are made when a slot is freed.
pub(crate) async fn sweep(context: Context) -> anyhow::Result<Next> {
    let mut client = context.pool.get().await.context("no database connection")?;
    let count = reservations::count(&client).await?;
    context.metrics.reservations.with_label_values(&["active"]).set(count.active);
    context.metrics.reservations.with_label_values(&["waiting"]).set(count.waiting);
    if count.waiting == 0 {
        return Ok(Next::AfterInterval);
    }
    let organizations = reservations::organizations_waiting(&client).await?;
    let transaction = client.transaction().await?;
    let decided = decide(&transaction, &context.topology, organizations).await?;
    context.outbox.insert(&transaction, &decided.messages).await?;
    transaction.commit().await?;
    context.outbox.wake();
    decided.count(&context.metrics);
    Ok(Next::AfterInterval)
}
