//! Puts metering together: the usage consumer, the relay of admitted jobs, and the sweep.

use database::Outbox;
use infra::amqp::Amqp;
use infra::ops::Ops;
use infra::service::{Drain, Overdue, Service};
use infra::task::every;
use tokio_util::sync::CancellationToken;

use crate::admission::queue;
use crate::config::MeteringConfig;
use crate::context::Context;
use crate::ledger;
use crate::metrics::Metrics;

/// Opens everything and starts to work, until `shutdown`.
pub async fn start(config: MeteringConfig, shutdown: CancellationToken) -> anyhow::Result<Service> {
    let pool = database::open(&config.postgres)?;
    let amqp = Amqp::new(&config.amqp, "metering");
    let publisher = amqp.publisher();
    let ops = Ops::new().ready_when(&pool).ready_when(&publisher);
    let metrics = Metrics::register(&ops.registry)?;
    let context = Context { pool, outbox: Outbox::new("metering"), topology: amqp.topology.clone(), metrics };
    let drain = Drain { deadline: config.settings.drain(), overdue: Overdue::Dropped };
    let mut service = Service::start("metering", drain, shutdown, &ops, &config.ops).await?;

    service.work(ledger::consume(context.clone(), amqp, service.shutdown()));
    let sweeping = context.clone();
    let sweep = move || queue::sweep(sweeping.clone());
    service.beside(every(config.settings.sweep(), "admit waiting runs", service.drained(), sweep));
    let drained = service.drained();
    service.beside(async move { context.outbox.relay(&context.pool, &publisher, &drained).await });
    tracing::info!(ops_address = %service.ops_address(), "metering started");
    Ok(service)
}
