//! Puts metering together: the usage consumer, the relay of admitted jobs, and the sweep.

use std::time::Duration;

use database::Outbox;
use database::Pool;
use infra::amqp::{Amqp, Delivery, Source, Topology};
use infra::ops::Ops;
use infra::service::{Drain, Overdue, Service};
use infra::task::every;
use schemas::message::decode_json;
use schemas::message::usage::UsageBatch;
use tokio_util::sync::CancellationToken;

use crate::config::MeteringConfig;
use crate::metrics::Metrics;
use crate::record;

const PREFETCH: u16 = 512;
/// Messages recorded in one transaction.
const BATCH: usize = 256;
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// What every part of metering works with. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub pool: Pool,
    pub outbox: Outbox,
    pub topology: Topology,
    pub metrics: Metrics,
}

/// Opens everything and starts to work, until `shutdown`.
pub async fn start(config: MeteringConfig, shutdown: CancellationToken) -> anyhow::Result<Service> {
    let pool = database::open(&config.postgres)?;
    let amqp = Amqp::new(&config.amqp, "metering");
    let publisher = amqp.publisher();
    let ops = Ops::new().ready_when(&pool).ready_when(&publisher);
    let metrics = Metrics::register(&ops.registry)?;
    let parts = Parts { pool, outbox: Outbox::new("metering"), topology: amqp.topology.clone(), metrics };
    let drain = Drain { deadline: config.settings.drain(), overdue: Overdue::Dropped };
    let mut service = Service::start("metering", drain, shutdown, &ops, &config.ops).await?;

    service.work(consume(parts.clone(), amqp, service.shutdown()));
    let sweeping = parts.clone();
    let sweep = move || record::sweep(sweeping.clone());
    service.beside(every(config.settings.sweep(), "admit waiting runs", service.drained(), sweep));
    let drained = service.drained();
    service.beside(async move { parts.outbox.relay(&parts.pool, &publisher, &drained).await });
    tracing::info!(ops_address = %service.ops_address(), "metering started");
    Ok(service)
}

async fn consume(parts: Parts, amqp: Amqp, shutdown: CancellationToken) {
    let mut consumer = amqp.consume(Source::Usage, PREFETCH);
    loop {
        let first = tokio::select! {
            delivery = consumer.next() => delivery,
            () = shutdown.cancelled() => None,
        };
        let Some(first) = first else { return };
        let mut deliveries = vec![first];
        while deliveries.len() < BATCH
            && let Some(next) = consumer.try_next()
        {
            deliveries.push(next);
        }
        if !handle(&parts, deliveries, &shutdown).await {
            return;
        }
    }
}

/// False when it was interrupted: nothing of the batch was acknowledged then.
async fn handle(parts: &Parts, deliveries: Vec<Delivery>, shutdown: &CancellationToken) -> bool {
    let (mut accepted, mut batches) = (Vec::new(), Vec::<UsageBatch>::new());
    for delivery in deliveries {
        match decode_json(&delivery.body) {
            Ok(batch) => {
                batches.push(batch);
                accepted.push(delivery);
            }
            Err(error) => {
                tracing::error!(%error, bytes = delivery.body.len(), "an undecodable usage message is dead-lettered");
                parts.metrics.usage_events.with_label_values(&["undecodable"]).inc();
                delivery.dead_letter().await;
            }
        }
    }
    parts.metrics.batch_size.observe(f64::from(u32::try_from(batches.len()).unwrap_or(u32::MAX)));
    while let Err(error) = record::record(parts, &batches).await {
        parts.metrics.retries.inc();
        tracing::warn!(error = %format!("{error:#}"), "usage could not be recorded, trying again");
        tokio::select! {
            () = tokio::time::sleep(RETRY_DELAY) => {}
            () = shutdown.cancelled() => return false,
        }
    }
    for delivery in accepted {
        delivery.ack().await;
    }
    true
}
