//! Runs that wait when the budget of their organization is used up: they end, canceled by the quota. The collector seals
//! them, as it seals every run.

use database::{OutboxMessage, Transaction};
use infra::amqp::Topology;
use schemas::id::OrgId;
use schemas::message::{EventMessage, Verdict};
use schemas::run::OutcomeSource;

use crate::db::reservations::{self, Removed};

/// Returns the endings of the organization's waiting runs if no budget is left for them. The organization is locked before they leave
/// the queue, so that none of them is admitted.
pub(super) async fn give_up(
    transaction: &Transaction<'_>,
    topology: &Topology,
    org: &OrgId,
) -> anyhow::Result<Vec<OutboxMessage>> {
    if !reservations::wait_in_vain(transaction, org).await? {
        return Ok(Vec::new());
    }
    reservations::lock(transaction, org).await?;
    let removed = reservations::remove_waiting(transaction, org).await?;
    removed.into_iter().map(|removed| ending(topology, removed)).collect()
}

fn ending(topology: &Topology, Removed { run_id, traceparent }: Removed) -> anyhow::Result<OutboxMessage> {
    let target = topology.events_of(&run_id);
    let why = "the run waited for a slot when the organization had used what its plan includes".to_owned();
    let message = EventMessage::abandoned(run_id.clone(), 0, Verdict::Canceled, OutcomeSource::Quota, Some(why));
    Ok(OutboxMessage::event(target, message.encode()?, &run_id, traceparent))
}
