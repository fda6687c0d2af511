//! Starts the service and stops it again: everything is checked and opened before the port is bound, and what is in
//! flight is finished before anything is closed.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use database::Outbox;
use infra::amqp::{Amqp, Publisher};
use infra::ops::{Ops, Ready as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::{App, Shared};
use crate::auth::{LastUsed, Principals};
use crate::config::IngestConfig;
use crate::events::Hub;
use crate::evidence_log::OpenReads;
use crate::metrics::Metrics;
use crate::plans::Plans;
use crate::rate_limit::RateLimit;
use crate::{jobs, listener, router};

/// A running service.
#[derive(Debug)]
pub struct Ingest {
    address: SocketAddr,
    ops_address: SocketAddr,
    running: JoinHandle<()>,
}

impl Ingest {
    /// Where the API is served.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where health and metrics are served.
    pub fn ops_address(&self) -> SocketAddr {
        self.ops_address
    }

    /// Waits until the service has drained after its shutdown.
    pub async fn finished(self) -> anyhow::Result<()> {
        self.running.await.context("the API service broke down")
    }
}

/// Starts serving; `shutdown` stops it. The schema must be up to date: see `database::migrate`.
pub async fn start(config: IngestConfig, shutdown: CancellationToken) -> anyhow::Result<Ingest> {
    config.validate()?;
    let keyring = config.keyring.open()?;
    let pool = database::open(&config.postgres)?;
    let ops = Ops::new();
    let store = infra::s3::open_counted(&config.s3, &ops.registry)?;
    let amqp = Amqp::new(&config.amqp, "ingest");
    // A wrong address should be seen now, not by the first client.
    pool.ready().await.map_err(anyhow::Error::msg).context("--database-url")?;
    let publisher = amqp.publisher();
    let ops = ops.ready_when(&pool).ready_when(&publisher).ready_when(&store);
    let metrics = Metrics::register(&ops.registry).context("the metrics")?;
    let listener = TcpListener::bind(config.api.listen).await;
    let listener = listener.with_context(|| format!("--listen: {} cannot be bound", config.api.listen))?;
    let address = listener.local_addr()?;
    let ops_address = ops.serve(&config.ops, shutdown.clone()).await;
    let ops_address =
        ops_address.with_context(|| format!("--ops-listen: {} cannot be bound", config.ops.ops_listen))?;
    let mut api = config.api;
    // Port 0 was a wish; from here on it is the port that came of it.
    api.listen = address;
    let presigner = api.transfer_endpoint.as_ref().map(|endpoint| infra::s3::Presigner::new(&config.s3, endpoint));
    let app = App::new(Shared {
        pool,
        store,
        presigner,
        keyring,
        topology: amqp.topology.clone(),
        outbox: Outbox::new("ingest"),
        principals: Principals::default(),
        last_used: LastUsed::default(),
        plans: Plans::new(api.requests_per_minute),
        rate_limit: RateLimit::new(),
        hub: Hub::default(),
        log_reads: OpenReads::default(),
        metrics,
        stopping: shutdown.clone(),
        config: api,
    });
    tracing::info!(%address, %ops_address, "the API is served");
    let router = router::build(&app, &ops);
    let running = tokio::spawn(run(app, amqp, publisher, listener, router, shutdown));
    Ok(Ingest { address, ops_address, running })
}

async fn run(
    app: App,
    amqp: Amqp,
    publisher: Publisher,
    listener: TcpListener,
    router: axum::Router,
    shutdown: CancellationToken,
) {
    let deadline = Duration::from_millis(app.config.drain_ms);
    let header_timeout = Duration::from_millis(app.config.header_timeout_ms);
    // The jobs outlive the requests: what the last one commits is still relayed.
    let (tasks, stop_tasks) = (TaskTracker::new(), CancellationToken::new());
    jobs::spawn(&app, &amqp, &tasks, &stop_tasks);
    tasks.spawn({
        let (app, stop) = (app.clone(), stop_tasks.clone());
        async move { app.outbox.relay(&app.pool, &publisher, &stop).await }
    });
    tasks.spawn({
        let (app, stop) = (app.clone(), stop_tasks.clone());
        async move { app.hub.run(&amqp, &app.pool, &stop).await }
    });
    let serving = listener::serve(listener, router, header_timeout, shutdown.clone());
    if !infra::shutdown::drain(serving, &shutdown, deadline).await {
        tracing::warn!(?deadline, "requests were cut off by the end of the service");
    }
    stop_tasks.cancel();
    tasks.close();
    if tokio::time::timeout(deadline, tasks.wait()).await.is_err() {
        tracing::warn!("background work was cut off by the end of the service");
    }
    tracing::info!("the API has stopped");
}
