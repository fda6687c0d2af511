//! What the handlers share: connections, caches and settings of one running API service.

use std::ops::Deref;
use std::sync::Arc;

use database::Outbox;
use database::Pool;
use infra::amqp::Topology;
use infra::keyring::Keyring;
use infra::s3::{Presigner, Store};
use tokio_util::sync::CancellationToken;

use crate::auth::{LastUsed, Principals};
use crate::config::ApiConfig;
use crate::events::Hub;
use crate::evidence_log::OpenReads;
use crate::metrics::Metrics;
use crate::plans::Plans;
use crate::rate_limit::RateLimit;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub config: ApiConfig,
    pub pool: Pool,
    pub store: Store,
    /// Where clients can reach the store.
    pub presigner: Option<Presigner>,
    /// Without one, runs cannot have environment variables.
    pub keyring: Option<Keyring>,
    pub topology: Topology,
    pub outbox: Outbox,
    pub principals: Principals,
    pub last_used: LastUsed,
    pub plans: Plans,
    pub rate_limit: RateLimit,
    pub hub: Hub,
    pub log_reads: OpenReads,
    pub metrics: Metrics,
    /// Told to stop: streams end, so that requests in flight can drain.
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
