//! The consumer of usage messages. Messages that are ready at once are recorded in one transaction; a lone one waits for
//! nobody. A message is acknowledged after the commit.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::Duration;

use database::row::is_refused;
use infra::amqp::{Amqp, Delivery, Source};
use schemas::message::decode_json;
use schemas::message::usage::UsageBatch;
use tokio_util::sync::CancellationToken;

use super::record::record;
use crate::context::Context;

const PREFETCH: u16 = 512;
/// Maximum messages recorded in one transaction.
const GROUP: usize = 256;
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// A message and what it says.
struct Received {
    delivery: Delivery,
    usage: UsageBatch,
    /// The message could not be handled. It is dead-lettered once `usage`, which then only frees the run's slot, is recorded.
    dead: bool,
}

/// Records usage until `shutdown`.
pub(crate) async fn consume(context: Context, amqp: Amqp, shutdown: CancellationToken) {
    let mut consumer = amqp.consume(Source::Usage, PREFETCH);
    loop {
        let first = tokio::select! {
            delivery = consumer.next() => delivery,
            () = shutdown.cancelled() => None,
        };
        let Some(first) = first else { return };
        let mut deliveries = vec![first];
        while deliveries.len() < GROUP
            && let Some(next) = consumer.try_next()
        {
            deliveries.push(next);
        }
        let group = decode(&context, deliveries).await;
        context.metrics.group_size.observe(f64::from(u32::try_from(group.len()).unwrap_or(u32::MAX)));
        if record_all(&context, group, &shutdown).await.is_break() {
            return;
        }
    }
}

/// Records the messages together; if the database refuses that, one by one, so that a bad message fails alone. Breaks when
/// the shutdown interrupts it: what is not recorded is not acknowledged then.
async fn record_all(context: &Context, group: Vec<Received>, shutdown: &CancellationToken) -> ControlFlow<()> {
    let mut todo = VecDeque::from([group]);
    while let Some(mut group) = todo.pop_front() {
        let batches: Vec<&UsageBatch> = group.iter().map(|received| &received.usage).collect();
        let Err(error) = record(context, &batches).await else {
            for Received { delivery, dead, .. } in group {
                if dead { delivery.dead_letter().await } else { delivery.ack().await }
            }
            continue;
        };
        context.metrics.retries.inc();
        if !is_refused(&error) {
            tracing::warn!("cannot record usage: {error:#}; retrying");
            todo.push_front(group);
            tokio::select! {
                () = tokio::time::sleep(RETRY_DELAY) => {}
                () = shutdown.cancelled() => return ControlFlow::Break(()),
            }
        } else if group.len() > 1 {
            todo.extend(group.into_iter().map(|received| vec![received]));
        } else if let Some(received) = group.pop() {
            tracing::error!(run = %received.usage.run_id, "the database refuses a usage message: {error:#}; dead-lettering it");
            context.metrics.usage_events.with_label_values(&["refused"]).inc();
            if received.dead {
                received.delivery.dead_letter().await;
            } else {
                todo.push_back(vec![Received { usage: slot_only(received.usage), dead: true, ..received }]);
            }
        }
    }
    ControlFlow::Continue(())
}

/// Undecodable messages are dead-lettered, each by itself. One whose publisher has named the run frees its slot before.
async fn decode(context: &Context, deliveries: Vec<Delivery>) -> Vec<Received> {
    let mut group = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        let error = match decode_json(&delivery.body) {
            Ok(usage) => {
                group.push(Received { delivery, usage, dead: false });
                continue;
            }
            Err(error) => error,
        };
        tracing::error!(%error, bytes = delivery.body.len(), "cannot decode a usage message: dead-lettered");
        context.metrics.usage_events.with_label_values(&["undecodable"]).inc();
        match delivery.about.clone() {
            Some(about) => {
                let usage = UsageBatch { run_id: about.run, events: Vec::new() };
                group.push(Received { delivery, usage, dead: true });
            }
            None => delivery.dead_letter().await,
        }
    }
    group
}

/// What frees the slot of the run, without its usage.
fn slot_only(usage: UsageBatch) -> UsageBatch {
    UsageBatch { events: Vec::new(), ..usage }
}
