//! Puts the executor together: the sandbox host, the caches, the worker that takes jobs, and the watch over cancellations.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use infra::amqp::Amqp;
use infra::ops::Ops;
use infra::s3;
use infra::service::{Drain, Overdue, Service};
use sandbox::{Limits, SandboxConfig, SandboxHost};
use schemas::id::ExecutorId;
use tokio_util::sync::CancellationToken;

use crate::config::{ExecutorConfig, ExecutorSettings};
use crate::context::Context;
use crate::dispatch::running::Running;
use crate::dispatch::slots::Slots;
use crate::dispatch::{control, worker};
use crate::egress::Gateway;
use crate::extraction::ExtractLimits;
use crate::metrics::Metrics;
use crate::output::OutputCap;
use crate::trees::{CacheConfig, TreeCache};

/// A running executor.
#[derive(Debug)]
pub struct Executor {
    id: ExecutorId,
    service: Service,
}

/// Checks the machine, opens everything and starts to work, until `shutdown`.
pub async fn start(config: ExecutorConfig, shutdown: CancellationToken) -> anyhow::Result<Executor> {
    let settings = &config.settings;
    let keyring = config.keyring.open()?;
    let host = open_host(settings).await?;
    let (cache, templates) = open_caches(settings, host.disk_bytes()).await?;
    let downloads = settings.work_dir.join("downloads");
    // An unfinished download of a former process is useless.
    sandbox::remove_tree(&downloads).context("cannot empty the download folder")?;
    std::fs::create_dir_all(&downloads).context("cannot create the download folder")?;
    let pool = database::open(&config.postgres)?;
    let ops = Ops::new();
    let store = s3::open_counted(&config.s3, &ops.registry)?;
    let amqp = Amqp::new(&config.amqp, "executor");
    let publisher = amqp.publisher();
    let (gate, watch) = s3::gate(&store, &ops.registry)?;
    let metrics = Metrics::register(&ops.registry)?;
    let slots = Slots::new(settings.slots, metrics.slots.clone());
    let ops = ops.ready_when(&pool).ready_when(&gate).ready_when(&publisher).ready_when(&slots);
    let id = ExecutorId::new();
    let context = Arc::new(Context {
        id: id.clone(),
        pool,
        store,
        amqp,
        publisher,
        disk_bytes: host.disk_bytes(),
        artifact_limits: settings.artifact_limits(host.disk_bytes()),
        gate,
        host,
        cache,
        templates,
        downloads,
        keyring,
        gateway: Gateway::new(&settings.egress_allow_address),
        limits: Limits { memory_bytes: settings.memory_bytes, pids: settings.pids, cpu_millis: settings.cpu_millis },
        output_cap: OutputCap { bytes: settings.output_cap_bytes, folder: settings.work_dir.clone() },
        grace: settings.grace(),
        metrics,
        running: Running::default(),
        slots,
    });
    // Past the deadline, attempts end their sandboxes, and their jobs are delivered again elsewhere.
    let drain = Drain { deadline: settings.drain(), overdue: Overdue::Aborted };
    let mut service = Service::start("executor", drain, shutdown, &ops, &config.ops).await?;
    service.beside(watch.run(service.drained()));
    // Until the last attempt has ended, it can be canceled.
    service.beside(control::listen(Arc::clone(&context), service.drained()));
    service.beside(control::watch(Arc::clone(&context), service.drained()));
    service.work(worker::work(context, service.shutdown(), service.aborted()));
    let ops_address = service.ops_address();
    tracing::info!(executor = %id, %ops_address, slots = settings.slots, engine = ?settings.engine, "executor started");
    Ok(Executor { id, service })
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

/// The caches of archives and of templates.
async fn open_caches(
    settings: &ExecutorSettings,
    run_disk_bytes: Option<u64>,
) -> anyhow::Result<(TreeCache, TreeCache)> {
    let archives = CacheConfig {
        folder: settings.work_dir.join("cache"),
        max_bytes: settings.cache_bytes,
        limits: ExtractLimits::default().within(run_disk_bytes),
    };
    let templates = CacheConfig {
        folder: settings.work_dir.join("templates"),
        max_bytes: settings.template_cache_bytes,
        limits: ExtractLimits::ROOT_FS,
    };
    // Extracted files are as open as their archive has them, whoever started this process.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let opening = move || (TreeCache::open(archives), TreeCache::open_root_file_systems(templates));
    let (archives, templates) = tokio::task::spawn_blocking(opening).await?;
    Ok((archives.context("cannot open the archive cache")?, templates.context("cannot open the template cache")?))
}

impl Executor {
    pub fn id(&self) -> &ExecutorId {
        &self.id
    }

    pub fn ops_address(&self) -> SocketAddr {
        self.service.ops_address()
    }

    /// Returns once nothing runs any more. Attempts that the drain deadline finds unfinished are killed.
    pub async fn finished(self) {
        self.service.finished().await;
    }
}
