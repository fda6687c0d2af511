//! Puts metering together: the usage consumer, the relay of admitted jobs, and the sweep.

use std::net::SocketAddr;
use std::time::Duration;

use infra::amqp::{Amqp, Delivery, Source, Topology};
use infra::ops::Ops;
use infra::outbox::Outbox;
use infra::postgres::{self, Pool};
use schemas::message::decode_json;
use schemas::usage::UsageBatch;
use tokio::task::JoinSet;
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

/// Running metering.
#[derive(Debug)]
pub struct Metering {
    ops_address: SocketAddr,
    workers: JoinSet<()>,
    shutdown: CancellationToken,
    drain: Duration,
}

/// Opens everything and starts to work, until `shutdown`.
pub async fn start(config: MeteringConfig, shutdown: CancellationToken) -> anyhow::Result<Metering> {
    let pool = postgres::open(&config.postgres)?;
    let amqp = Amqp::new(&config.amqp, "metering");
    let publisher = amqp.publisher();
    let (ready_pool, ready_publisher) = (pool.clone(), publisher.clone());
    let ops = Ops::new()
        .check("postgres", move || {
            let pool = ready_pool.clone();
            async move { postgres::ping(&pool).await }
        })
        .check("rabbitmq", move || {
            let ready = ready_publisher.ping();
            async move { ready }
        });
    let metrics = Metrics::register(&ops.registry)?;
    let parts = Parts { pool, outbox: Outbox::new("metering"), topology: amqp.topology.clone(), metrics };
    let ops_address = ops.serve(&config.ops, shutdown.clone()).await?;

    let mut workers = JoinSet::new();
    workers.spawn(consume(parts.clone(), amqp, shutdown.clone()));
    workers.spawn(sweep(parts.clone(), config.settings.sweep(), shutdown.clone()));
    let token = shutdown.clone();
    workers.spawn(async move { parts.outbox.relay(&parts.pool, &publisher, &token).await });
    tracing::info!(%ops_address, "metering started");
    Ok(Metering { ops_address, workers, shutdown, drain: config.settings.drain() })
}

impl Metering {
    pub fn ops_address(&self) -> SocketAddr {
        self.ops_address
    }

    /// Returns once everything stopped, or the drain deadline passed: the rest stays unacknowledged and comes again.
    pub async fn finished(mut self) {
        let work = async { while self.workers.join_next().await.is_some() {} };
        if !infra::shutdown::drain(work, &self.shutdown, self.drain).await {
            tracing::warn!("metering left work behind, it will be redelivered");
        }
    }
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

async fn sweep(parts: Parts, interval: Duration, shutdown: CancellationToken) {
    loop {
        if let Err(error) = record::sweep(&parts).await {
            tracing::warn!(error = %format!("{error:#}"), "looking for runs to admit failed, trying again later");
        }
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = shutdown.cancelled() => return,
        }
    }
}
