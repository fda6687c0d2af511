//! Puts the collector together: intake and sealer, the dead-letter reader, the relay and the sweeper.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use database::Outbox;
use database::{Pool, PostgresConfig};
use infra::amqp::{Amqp, Message, Publisher};
use infra::ops::Ops;
use infra::s3::{self, Store};
use schemas::message::{LiveNotice, LiveRun, encode_json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::CollectorConfig;
use crate::fresh::Fresh;
use crate::holds::{self, HoldMetrics};
use crate::lake::{self, IcebergMetrics, Lake, LakeMetrics};
use crate::metrics::Metrics;
use crate::signing::Signer;
use crate::transparency::{self, Log, LogMetrics};
use crate::{dead, intake, retention, sweep};

/// What every part of the collector works with. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub pool: Pool,
    pub store: Store,
    /// The same, for what is sealed: it may be locked there.
    pub vault: Store,
    pub amqp: Amqp,
    pub publisher: Publisher,
    pub outbox: Outbox,
    pub metrics: Metrics,
    pub lake_metrics: LakeMetrics,
    pub part_bytes: u64,
    pub segment_retention: Duration,
    pub fresh: Fresh,
    pub signer: Arc<Signer>,
    pub builder_id: String,
}

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
    let pool = database::open(&config.postgres)?;
    let ops = Ops::new();
    let store = s3::open_counted(&config.s3, &ops.registry)?;
    let vault = store.locking(config.object_lock.lock());
    if config.object_lock.lock().is_some() && !store.has_object_lock().await? {
        anyhow::bail!(
            "--object-lock-mode: the bucket `{}` has no Object Lock: switch it on (many stores want versioning first, some a new \
             bucket), or leave the mode out",
            config.s3.s3_bucket
        );
    }
    let amqp = Amqp::new(&config.amqp, "collector");
    let publisher = amqp.publisher();
    let ops = ops.ready_when(&pool).ready_when(&store).ready_when(&publisher);
    let parts = Parts {
        metrics: Metrics::register(&ops.registry)?,
        lake_metrics: LakeMetrics::register(&ops.registry)?,
        pool,
        store,
        vault,
        amqp,
        publisher,
        outbox: Outbox::new("collector"),
        fresh: Fresh::default(),
        part_bytes: config.part_bytes,
        segment_retention: Duration::from_millis(config.segment_retention_ms),
        signer: Arc::clone(&signer),
        builder_id: config.signing.builder_id.clone(),
    };
    let hold_metrics = HoldMetrics::register(&ops.registry)?;
    let log_metrics = LogMetrics::register(&ops.registry)?;
    let log = Log {
        postgres: PostgresConfig { database_pool: 1, ..config.postgres.clone() },
        store: parts.store.clone(),
        signer,
        config: config.transparency.clone(),
        metrics: log_metrics,
    };
    let lake = Lake {
        postgres: PostgresConfig { database_pool: 1, ..config.postgres.clone() },
        store: parts.store.clone(),
        fresh: parts.fresh.clone(),
        config: config.tables.clone(),
        metrics: parts.lake_metrics.clone(),
        iceberg: config.iceberg.clone(),
        iceberg_metrics: IcebergMetrics::register(&ops.registry)?,
    };
    let ops_address = ops.serve(&config.ops, shutdown.clone()).await?;

    let mut workers = JoinSet::new();
    workers.spawn(intake::work(parts.clone(), shutdown.clone()));
    workers.spawn(dead::work(parts.clone(), shutdown.clone()));
    workers.spawn(sweep::work(parts.clone(), shutdown.clone()));
    let interval = Duration::from_millis(config.retention_sweep_ms);
    workers.spawn(retention::work(parts.clone(), interval, shutdown.clone()));
    workers.spawn(holds::work(parts.clone(), hold_metrics, interval, shutdown.clone()));
    workers.spawn(transparency::work(log, shutdown.clone()));
    workers.spawn(lake::work(lake, shutdown.clone()));
    let token = shutdown.clone();
    workers.spawn(async move { parts.outbox.relay(&parts.pool, &parts.publisher, &token).await });
    tracing::info!(%ops_address, "collector started");
    Ok(Collector { ops_address, workers, shutdown, drain: config.drain() })
}

impl Collector {
    pub fn ops_address(&self) -> SocketAddr {
        self.ops_address
    }

    /// Returns once everything stopped, or the drain deadline passed: the rest stays unacknowledged and comes again.
    pub async fn finished(mut self) {
        let work = async { while self.workers.join_next().await.is_some() {} };
        if !infra::shutdown::drain(work, &self.shutdown, self.drain).await {
            tracing::warn!("the collector left work behind, it will be redelivered");
        }
    }
}

impl Parts {
    /// Tells live readers what is durable now. It is a hint: readers look by themselves, too.
    pub(crate) async fn announce(&self, runs: Vec<LiveRun>) {
        if runs.is_empty() {
            return;
        }
        let Ok(body) = encode_json(&LiveNotice { runs }) else { return };
        let message = Message {
            target: self.amqp.topology.live(),
            body: body.into(),
            content_type: "application/json",
            traceparent: None,
        };
        if let Err(error) = self.publisher.publish(message).await {
            tracing::warn!(%error, "live readers could not be told");
        }
    }
}
