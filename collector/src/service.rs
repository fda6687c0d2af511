//! Puts the collector together: opens what it works with and starts its parts, which then work until shutdown.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use infra::amqp::{Amqp, Publisher};
use infra::ops::Ops;
use infra::outbox::Outbox;
use infra::postgres::{self, Pool, PostgresConfig};
use infra::s3::{self, Store};
use tokio::task::JoinSet;
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

/// A running collector.
#[derive(Debug)]
pub struct Collector {
    ops_address: SocketAddr,
    workers: JoinSet<()>,
    shutdown: CancellationToken,
    drain: Duration,
}

/// Opens everything and starts to work, until `shutdown`.
pub async fn start(config: CollectorConfig, shutdown: CancellationToken) -> anyhow::Result<Collector> {
    let signer = Arc::new(config.signing.open()?);
    let pool = postgres::open(&config.postgres)?;
    let ops = Ops::new();
    let store = s3::open_counted(&config.s3, &ops.registry)?;
    let vault = vault(&config, &store).await?;
    let amqp = Amqp::new(&config.amqp, "collector");
    let publisher = amqp.publisher();
    let ops = checked(ops, &pool, &store, &publisher);
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
        builder_id: config.signing.builder_id.clone(),
        part_bytes: config.part_bytes,
        segment_retention: Duration::from_millis(config.segment_retention_ms),
    };
    let retention_metrics = RetentionMetrics::register(&ops.registry)?;
    let hold_metrics = HoldMetrics::register(&ops.registry)?;
    let log = EvidenceLog {
        store: context.store.clone(),
        signer: Arc::clone(&context.signer),
        config: config.evidence_log.clone(),
        metrics: EvidenceLogMetrics::register(&ops.registry)?,
    };
    let lake = Lake {
        store: context.store.clone(),
        recent_objects: context.recent_objects.clone(),
        config: config.tables.clone(),
        metrics: LakeMetrics::register(&ops.registry)?,
        iceberg: config.iceberg.clone(),
        iceberg_metrics: IcebergMetrics::register(&ops.registry)?,
    };
    let ops_address = ops.serve(&config.ops, shutdown.clone()).await?;

    let one_session = PostgresConfig { database_pool: 1, ..config.postgres.clone() };
    let interval = Duration::from_millis(config.retention_sweep_ms);
    let mut workers = JoinSet::new();
    workers.spawn(worker::work(context.clone(), shutdown.clone()));
    workers.spawn(dead_letters::work(context.clone(), shutdown.clone()));
    workers.spawn(sweep::work(context.clone(), shutdown.clone()));
    workers.spawn(retention::work(context.clone(), retention_metrics, interval, shutdown.clone()));
    workers.spawn(store_holds::work(context.clone(), hold_metrics, interval, shutdown.clone()));
    workers.spawn(evidence_log::work(log, one_session.clone(), shutdown.clone()));
    workers.spawn(lake::work(lake, one_session, shutdown.clone()));
    let token = shutdown.clone();
    workers.spawn(async move { context.outbox.relay(&context.pool, &context.publisher, &token).await });
    tracing::info!(%ops_address, "collector started");
    Ok(Collector { ops_address, workers, shutdown, drain: config.drain() })
}

/// The store as sealed objects are written to it. Fails if they are to be locked and the bucket has no Object Lock.
async fn vault(config: &CollectorConfig, store: &Store) -> anyhow::Result<Store> {
    let lock = config.object_lock.lock();
    if lock.is_some() && !store.has_object_lock().await? {
        anyhow::bail!(
            "--object-lock-mode: the bucket `{}` has no Object Lock: switch it on (many stores want versioning first, some a new \
             bucket), or leave the mode out",
            config.s3.s3_bucket
        );
    }
    Ok(store.locking(lock))
}

fn checked(ops: Ops, pool: &Pool, store: &Store, publisher: &Publisher) -> Ops {
    let (pool, store, publisher) = (pool.clone(), store.clone(), publisher.clone());
    ops.check("postgres", move || {
        let pool = pool.clone();
        async move { postgres::ping(&pool).await }
    })
    .check("s3", move || {
        let store = store.clone();
        async move { store.ping().await }
    })
    .check("rabbitmq", move || {
        let ready = publisher.ping();
        async move { ready }
    })
}

impl Collector {
    pub fn ops_address(&self) -> SocketAddr {
        self.ops_address
    }

    /// Returns once everything stopped, or the drain deadline passed: unfinished deliveries stay unacknowledged and come
    /// again.
    pub async fn finished(mut self) {
        let work = async { while self.workers.join_next().await.is_some() {} };
        if !infra::shutdown::drain(work, &self.shutdown, self.drain).await {
            tracing::warn!("the collector left work behind; the broker will redeliver it");
        }
    }
}
