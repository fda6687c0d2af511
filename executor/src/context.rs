//! Everything that one executor has opened.

use std::path::PathBuf;
use std::time::Duration;

use database::Pool;
use infra::amqp::{Amqp, Publisher};
use infra::keyring::Keyring;
use infra::s3::Store;
use sandbox::{Limits, SandboxHost};
use schemas::id::ExecutorId;

use crate::dispatch::running::Running;
use crate::dispatch::slots::Slots;
use crate::egress::Gateway;
use crate::metrics::Metrics;
use crate::output::OutputCap;
use crate::trees::TreeCache;

/// One executor: its connections, its caches and its limits, shared by all attempts.
#[derive(Debug)]
pub(crate) struct Context {
    pub id: ExecutorId,
    pub pool: Pool,
    pub store: Store,
    pub amqp: Amqp,
    pub publisher: Publisher,
    pub host: SandboxHost,
    pub cache: TreeCache,
    /// Root file systems.
    pub templates: TreeCache,
    pub downloads: PathBuf,
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
