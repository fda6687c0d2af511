//! The state that handlers share: connections, caches and settings of one running API service.

use std::ops::Deref;
use std::sync::Arc;

use database::{Outbox, Pool};
use infra::amqp::Topology;
use infra::keyring::Keyring;
use infra::s3::{Presigner, Store};
use tokio_util::sync::CancellationToken;

use crate::auth::{Callers, LastUsed};
use crate::config::ApiConfig;
use crate::events::Hub;
use crate::evidence_log::PublicReads;
use crate::http::at_once::AtOnce;
use crate::http::budget::Budget;
use crate::metrics::Metrics;
use crate::rate_limit::{Plans, RateLimit};

/// What a page of an answer takes while it is read and put together.
pub(crate) const READ_BYTES: u64 = 4 * 1024 * 1024;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub config: ApiConfig,
    pub pool: Pool,
    pub store: Store,
    /// Signs URLs of the store for clients; absent where clients do not reach the store.
    pub presigner: Option<Presigner>,
    /// Encrypts environment variables; runs cannot have any without it.
    pub keyring: Option<Keyring>,
    pub topology: Topology,
    pub outbox: Outbox,
    pub callers: Callers,
    pub last_used: LastUsed,
    pub plans: Plans,
    pub rate_limit: RateLimit,
    /// Memory for bytes that arrive.
    pub upload_buffers: Budget,
    /// Memory for bytes that are sent.
    pub answer_buffers: Arc<Budget>,
    pub uploads: AtOnce,
    pub streams: AtOnce,
    /// Memory for pages and objects while they are read: `READ_BYTES` each.
    pub reads: Arc<Budget>,
    pub hub: Hub,
    pub public_reads: PublicReads,
    pub metrics: Metrics,
    /// Canceled at shutdown: streams end, so that requests in flight can drain.
    pub stopping: CancellationToken,
}

impl App {
    pub(crate) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }
}

impl Deref for App {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}
