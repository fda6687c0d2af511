//! Starts and stops the service: configuration and connections are checked before the port is bound, and requests in
//! flight end before anything is closed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use database::Outbox;
use infra::amqp::{Amqp, Publisher};
use infra::ops::{Ops, Ready as _};
use infra::service::{Drain, Overdue, Service};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app::{App, READ_BYTES, Shared};
use crate::auth::{Callers, LastUsed};
use crate::config::IngestConfig;
use crate::events::Hub;
use crate::evidence_log::PublicReads;
use crate::http::at_once::AtOnce;
use crate::http::budget::Budget;
use crate::http::listener::{self, Bounds};
use crate::metrics::Metrics;
use crate::rate_limit::{Plans, RateLimit};
use crate::{periodic, router};

/// Objects and pages that are read into memory at the same time, half of them for one organization.
const CONCURRENT_READS: u64 = 16;
/// Open files beside the connections of clients: those of the database, the broker and the store.
const OTHER_FILES: u64 = 1024;

/// A running service.
#[derive(Debug)]
pub struct Ingest {
    address: SocketAddr,
    ops_address: SocketAddr,
    running: JoinHandle<()>,
}

impl Ingest {
    /// Address of the API.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Address of health and metrics.
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
    // A wrong address fails the start, not the first request.
    pool.ready().await.map_err(anyhow::Error::msg).context("--database-url")?;
    let publisher = amqp.publisher();
    let ops = ops.ready_when(&pool).ready_when(&publisher).ready_when(&store);
    let metrics = Metrics::register(&ops.registry).context("the metrics")?;
    let listener = TcpListener::bind(config.api.listen).await;
    let listener = listener.with_context(|| format!("--listen: {} cannot be bound", config.api.listen))?;
    let address = listener.local_addr()?;
    let mut api = config.api;
    // Port 0 is replaced by the port that was bound.
    api.listen = address;
    let drain = Drain { deadline: Duration::from_millis(api.drain_ms), overdue: Overdue::Dropped };
    let service = Service::start("ingest", drain, shutdown.clone(), &ops, &config.ops).await;
    let mut service = service.with_context(|| format!("--ops-listen: {} cannot be bound", config.ops.ops_listen))?;
    let ops_address = service.ops_address();
    let presigner = api.transfer_endpoint.as_ref().map(|endpoint| infra::s3::Presigner::new(&config.s3, endpoint));
    let patience = Duration::from_millis(api.buffer_wait_ms);
    let budget = |buffers: &str, bytes| {
        let (in_use, refused) = (&metrics.buffer_bytes, &metrics.refused);
        Budget::new(bytes, patience, in_use.with_label_values(&[buffers]), refused.with_label_values(&[buffers]))
    };
    let at_once = |what, limit, label: &str| AtOnce::new(what, limit, metrics.refused.with_label_values(&[label]));
    let app = App::new(Shared {
        pool,
        store,
        presigner,
        keyring,
        topology: amqp.topology.clone(),
        outbox: Outbox::new("ingest"),
        callers: Callers::default(),
        last_used: LastUsed::default(),
        plans: Plans::new(api.requests_per_minute),
        rate_limit: RateLimit::new(),
        upload_buffers: budget("uploads", api.upload_buffer_bytes),
        answer_buffers: Arc::new(budget("answers", api.answer_buffer_bytes)),
        uploads: at_once("uploads", api.uploads_per_key, "uploads_of_key"),
        streams: at_once("event streams", api.streams_per_key, "streams_of_key"),
        reads: Arc::new(budget("reads", CONCURRENT_READS * READ_BYTES)),
        hub: Hub::default(),
        public_reads: PublicReads::default(),
        metrics,
        stopping: shutdown,
        config: api,
    });
    let router = router::build(&app, &ops);
    service.work(listener::serve(listener, router, bounds(&app), service.shutdown()));
    beside(&mut service, &app, amqp, publisher);
    tracing::info!(%address, %ops_address, "the API is served");
    Ok(Ingest { address, ops_address, running: tokio::spawn(service.finished()) })
}

/// The bounds of connections. Each may need another one, to the store.
fn bounds(app: &App) -> Bounds {
    let config = &app.config;
    let wanted = u64::from(config.max_connections);
    let files = infra::descriptors::raise_limit(wanted + OTHER_FILES);
    // With few files, most of them are still for clients.
    let possible = files.saturating_sub(OTHER_FILES).max(files / 2).min(wanted);
    if possible < wanted {
        tracing::warn!(wanted, possible, files, "--max-connections is lowered: the process may not open more files");
    }
    Bounds {
        connections: usize::try_from(possible).unwrap_or(usize::MAX),
        header_timeout: Duration::from_millis(config.header_timeout_ms),
        write_timeout: Duration::from_millis(config.write_idle_timeout_ms),
        open: app.metrics.connections.clone(),
    }
}

/// Starts the tasks that outlive the requests: the message that the last request commits is still relayed.
fn beside(service: &mut Service, app: &App, amqp: Amqp, publisher: Publisher) {
    periodic::start(service, app, &amqp);
    let (relay, stop) = (app.clone(), service.drained());
    service.beside(async move { relay.outbox.relay(&relay.pool, &publisher, &stop).await });
    let (watch, stop) = (app.clone(), service.drained());
    service.beside(async move { watch.hub.run(&amqp, &watch.pool, &stop).await });
}
