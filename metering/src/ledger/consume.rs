//! The consumer of usage messages. Messages that are ready at once are recorded in one transaction; a lone one waits for
//! nobody. A message is acknowledged after the commit.

use std::ops::ControlFlow;
use std::time::Duration;

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
        if handle(&context, deliveries, &shutdown).await.is_break() {
            return;
        }
    }
}

/// Breaks when the shutdown interrupts it: none of the accepted messages is acknowledged then.
async fn handle(context: &Context, deliveries: Vec<Delivery>, shutdown: &CancellationToken) -> ControlFlow<()> {
    let (accepted, group) = decode(context, deliveries).await;
    context.metrics.group_size.observe(f64::from(u32::try_from(group.len()).unwrap_or(u32::MAX)));
    while let Err(error) = record(context, &group).await {
        context.metrics.retries.inc();
        tracing::warn!("cannot record usage: {error:#}; retrying");
        tokio::select! {
            () = tokio::time::sleep(RETRY_DELAY) => {}
            () = shutdown.cancelled() => return ControlFlow::Break(()),
        }
    }
    for delivery in accepted {
        delivery.ack().await;
    }
    ControlFlow::Continue(())
}

/// Undecodable messages are dead-lettered, each by itself.
async fn decode(context: &Context, deliveries: Vec<Delivery>) -> (Vec<Delivery>, Vec<UsageBatch>) {
    let (mut accepted, mut group) = (Vec::new(), Vec::new());
    for delivery in deliveries {
        match decode_json(&delivery.body) {
            Ok(usage) => {
                group.push(usage);
                accepted.push(delivery);
            }
            Err(error) => {
                tracing::error!(%error, bytes = delivery.body.len(), "cannot decode a usage message: dead-lettered");
                context.metrics.usage_events.with_label_values(&["undecodable"]).inc();
                delivery.dead_letter().await;
            }
        }
    }
    (accepted, group)
}
