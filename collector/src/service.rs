//! Puts the collector together: opens what it works with and starts its parts, which then work until shutdown.

use std::sync::Arc;
use std::time::Duration;

use database::Outbox;
use infra::amqp::Amqp;
use infra::ops::Ops;
use infra::s3::{self, Store};
use infra::service::{Drain, Overdue, Service};
use tokio_util::sync::CancellationToken;

use crate::config::CollectorConfig;
use crate::context::Context;
use crate::followers::evidence_log::{self, EvidenceLog, EvidenceLogMetrics};
use crate::followers::lake::{self, IcebergMetrics, Lake, LakeMetrics};
use crate::followers::retention::{self, RetentionMetrics};
use crate::followers::store_holds::{self, HoldMetrics};
use crate::followers::sweep;
use crate::intake::{dead_letters, worker};
use crate::metrics::Metrics;
use crate::recent_objects::RecentObjects;
use crate::seal::worker as sealer;

/// Opens everything and starts to work, until `shutdown`.
pub async fn start(config: CollectorConfig, shutdown: CancellationToken) -> anyhow::Result<Service> {
    let signer = Arc::new(config.settings.signing.open()?);
    let pool = database::open(&config.postgres)?;
    let ops = Ops::new();
    let store = s3::open_counted(&config.s3, &ops.registry)?;
    let vault = vault(&config, &store).await?;
    let amqp = Amqp::new(&config.amqp, "collector");
    let publisher = amqp.publisher();
    let (gate, watch) = s3::gate(&store, &ops.registry)?;
    let ops = ops.ready_when(&pool).ready_when(&gate).ready_when(&publisher);
    let context = Context {
        metrics: Metrics::register(&ops.registry)?,
        pool,
        store,
        vault,
        amqp,
        publisher,
        outbox: Outbox::new("collector"),
        recent_objects: RecentObjects::default(),
        signer,
        builder_id: config.settings.signing.builder_id.clone(),
        part_bytes: config.settings.part_bytes,
        segment_retention: Duration::from_millis(config.settings.segment_retention_ms),
    };
    let retention_metrics = RetentionMetrics::register(&ops.registry)?;
    let hold_metrics = HoldMetrics::register(&ops.registry)?;
    let log = EvidenceLog {
        store: context.store.clone(),
        signer: Arc::clone(&context.signer),
        config: config.settings.evidence_log.clone(),
        metrics: EvidenceLogMetrics::register(&ops.registry)?,
    };
    let lake = Lake {
        store: context.store.clone(),
        recent_objects: context.recent_objects.clone(),
        config: config.settings.tables.clone(),
        metrics: LakeMetrics::register(&ops.registry)?,
        iceberg: config.settings.iceberg.clone(),
        iceberg_metrics: IcebergMetrics::register(&ops.registry)?,
    };
    let drain = Drain { deadline: config.settings.drain(), overdue: Overdue::Dropped };
    let mut service = Service::start("collector", drain, shutdown, &ops, &config.ops).await?;

    let (postgres, interval) = (config.postgres, Duration::from_millis(config.settings.retention_sweep_ms));
    service.work(worker::work(context.clone(), service.shutdown()));
    service.work(dead_letters::work(context.clone(), service.shutdown()));
    service.work(sealer::again(context.clone(), service.shutdown()));
    service.work(retention::work(context.clone(), retention_metrics, interval, service.shutdown()));
    service.work(store_holds::work(context.clone(), hold_metrics, interval, service.shutdown()));
    service.work(evidence_log::work(log, postgres.clone(), service.shutdown()));
    service.work(lake::work(lake, postgres, service.shutdown()));
    service.beside(watch.run(service.drained()));
    service.beside(sweep::work(context.clone(), service.drained()));
    let drained = service.drained();
    service.beside(async move { context.outbox.relay(&context.pool, &context.publisher, &drained).await });
    tracing::info!(ops_address = %service.ops_address(), "collector started");
    Ok(service)
}

/// The store as sealed objects are written to it. Fails if they are to be locked and the bucket has no Object Lock.
async fn vault(config: &CollectorConfig, store: &Store) -> anyhow::Result<Store> {
    let lock = config.settings.object_lock.lock();
    if lock.is_some() && !store.has_object_lock().await? {
        anyhow::bail!(
            "--object-lock-mode: the bucket `{}` has no Object Lock: switch it on (many stores want versioning first, some a new \
             bucket), or leave the mode out",
            config.s3.s3_bucket
        );
    }
    Ok(store.locking(lock))
}
