//! Puts the executor together: the sandbox host, the archive cache, the job consumer and the watch over cancellations.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use database::Pool;
use infra::amqp::{Amqp, Publisher, Source};
use infra::keyring::Keyring;
use infra::ops::Ops;
use infra::s3::{self, Store};
use schemas::id::ExecutorId;
use schemas::message::{Control, decode_json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::archive::{CacheConfig, ExtractLimits, TreeCache};
use crate::claim::{self, Stop};
use crate::config::{ExecutorConfig, ExecutorSettings};
use crate::egress::Gateway;
use crate::jobs;
use crate::metrics::Metrics;
use crate::output::OutputCap;
use crate::running::Running;
use crate::sandbox::{Limits, SandboxConfig, SandboxHost};
use crate::slots::Slots;

/// How often to ask the database which attempts should stop: the messages about it are hints and may be lost.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);
const CONTROL_PREFETCH: u16 = 64;

/// What every attempt works with.
#[derive(Debug)]
pub(crate) struct Parts {
    pub id: ExecutorId,
    pub pool: Pool,
    pub store: Store,
    pub amqp: Amqp,
    pub publisher: Publisher,
    pub host: SandboxHost,
    pub cache: TreeCache,
    /// Root file systems.
    pub templates: TreeCache,
    pub downloads: std::path::PathBuf,
    /// For the environment variables of runs.
    pub keyring: Option<Keyring>,
    pub gateway: Gateway,
    pub limits: Limits,
    pub disk_bytes: Option<u64>,
    pub output_cap: OutputCap,
    pub grace: Duration,
    pub metrics: Metrics,
    pub running: Running,
    pub slots: Slots,
}

/// A running executor.
#[derive(Debug)]
pub struct Executor {
    id: ExecutorId,
    ops_address: SocketAddr,
    workers: JoinSet<()>,
    shutdown: CancellationToken,
    /// Canceled when the drain deadline has passed: what still runs then is killed and comes again elsewhere.
    abort: CancellationToken,
    drain: Duration,
}

/// Checks the machine, opens everything and starts to work, until `shutdown`.
pub async fn start(config: ExecutorConfig, shutdown: CancellationToken) -> anyhow::Result<Executor> {
    let settings = &config.settings;
    let (drain, grace) = (settings.drain(), settings.grace());
    let keyring = config.keyring.open()?;
    let host = open_host(settings).await?;
    let disk_bytes = host.disk_bytes();
    let cache_config = CacheConfig {
        folder: settings.work_dir.join("cache"),
        max_bytes: settings.cache_bytes,
        limits: ExtractLimits::default(),
    };
    let templates_config = CacheConfig {
        folder: settings.work_dir.join("templates"),
        max_bytes: settings.template_cache_bytes,
        limits: ExtractLimits::ROOT_FS,
    };
    // Extracted files are as open as their archive has them, whoever started this process.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let opening = move || (TreeCache::open(cache_config), TreeCache::open_root_file_systems(templates_config));
    let (cache, templates) = tokio::task::spawn_blocking(opening).await?;
    let downloads = settings.work_dir.join("downloads");
    // Whatever a former process was downloading is of no use any more.
    crate::workspace::remove_tree(&downloads).context("cannot empty the download folder")?;
    std::fs::create_dir_all(&downloads).context("cannot create the download folder")?;
    let pool = database::open(&config.postgres)?;
    let ops = Ops::new();
    let store = s3::open_counted(&config.s3, &ops.registry)?;
    let amqp = Amqp::new(&config.amqp, "executor");
    let publisher = amqp.publisher();
    let ops = ops.ready_when(&pool).ready_when(&store).ready_when(&publisher);
    let metrics = Metrics::register(&ops.registry)?;
    metrics.slots.set(i64::from(settings.slots));
    let id = ExecutorId::new();
    let parts = Arc::new(Parts {
        id: id.clone(),
        pool,
        store,
        amqp,
        publisher,
        host,
        cache: cache.context("cannot open the archive cache")?,
        templates: templates.context("cannot open the template cache")?,
        downloads,
        keyring,
        gateway: Gateway::new(&settings.egress_allow_address),
        limits: Limits { memory_bytes: settings.memory_bytes, pids: settings.pids, cpu_millis: settings.cpu_millis },
        disk_bytes,
        output_cap: OutputCap { bytes: settings.output_cap_bytes, folder: settings.work_dir.clone() },
        grace,
        metrics,
        running: Running::default(),
        slots: Slots::new(settings.slots),
    });
    // What still runs during a drain can be canceled, and looked at.
    let drained = CancellationToken::new();
    let ops_address = ops.serve(&config.ops, drained.clone()).await?;

    let abort = CancellationToken::new();
    let mut workers = JoinSet::new();
    workers.spawn(listen(Arc::clone(&parts), drained.clone()));
    workers.spawn(watch(Arc::clone(&parts), drained.clone()));
    let jobs = jobs::work(Arc::clone(&parts), settings.slots, shutdown.clone(), abort.clone());
    workers.spawn(async move {
        jobs.await;
        drained.cancel();
    });
    tracing::info!(executor = %id, %ops_address, slots = settings.slots, engine = ?settings.engine, "executor started");
    Ok(Executor { id, ops_address, workers, shutdown, abort, drain })
}

async fn open_host(settings: &ExecutorSettings) -> anyhow::Result<SandboxHost> {
    std::fs::create_dir_all(&settings.work_dir)
        .with_context(|| format!("--work-dir: cannot create {}", settings.work_dir.display()))?;
    let sandbox = SandboxConfig {
        helper_path: settings.sandbox_helper.clone(),
        uid_base: settings.uid_base,
        slots: settings.slots.into(),
        engine: settings.engine(),
        disk: settings.disk(),
        ..SandboxConfig::new(settings.work_dir.join("sandboxes"))
    };
    SandboxHost::open(sandbox).await.context("this machine cannot run sandboxes")
}

impl Executor {
    pub fn id(&self) -> &ExecutorId {
        &self.id
    }

    pub fn ops_address(&self) -> SocketAddr {
        self.ops_address
    }

    /// Returns once nothing runs any more. After the drain deadline, what still runs is killed.
    pub async fn finished(mut self) {
        let abort = self.abort.clone();
        let deadline = async {
            self.shutdown.cancelled().await;
            tokio::time::sleep(self.drain).await;
            tracing::warn!("the drain deadline has passed, running attempts are stopped and will be redelivered");
            abort.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = async { while self.workers.join_next().await.is_some() {} } => {}
            () = deadline => {}
        }
    }
}

/// Hears what should stop.
async fn listen(parts: Arc<Parts>, drained: CancellationToken) {
    let mut consumer = parts.amqp.consume(Source::Control, CONTROL_PREFETCH);
    loop {
        let delivery = tokio::select! {
            delivery = consumer.next() => delivery,
            () = drained.cancelled() => None,
        };
        let Some(delivery) = delivery else { return };
        match decode_json(&delivery.body) {
            Ok(Control::Cancel { run_id }) => parts.running.stop(&run_id, Stop::Canceled, None),
            Ok(Control::Fence { run_id, attempt }) => parts.running.stop(&run_id, Stop::Fenced, Some(attempt)),
            Err(error) => tracing::warn!(%error, "an unknown control message is ignored"),
        }
        delivery.ack().await;
    }
}

/// Asks what should stop, in case a message was lost.
async fn watch(parts: Arc<Parts>, drained: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(WATCH_INTERVAL) => {}
            () = drained.cancelled() => return,
        }
        let attempts = parts.running.list();
        if attempts.is_empty() {
            continue;
        }
        match claim::to_stop(&parts.pool, &attempts).await {
            Ok(stops) => {
                for (run, stop) in stops {
                    parts.running.stop(&run, stop, None);
                }
            }
            Err(error) => tracing::warn!(error = %format!("{error:#}"), "cannot ask which attempts should stop"),
        }
    }
}
