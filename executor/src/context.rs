//! The connections, caches and limits of one executor.

use std::path::PathBuf;
use std::time::Duration;

use database::Pool;
use infra::amqp::{Amqp, Publisher};
use infra::keyring::Keyring;
use infra::s3::{Gate, Store};
use sandbox::{Limits, SandboxHost};
use schemas::artifact::ArtifactLimits;
use schemas::id::ExecutorId;

use crate::dispatch::running::Running;
use crate::dispatch::slots::Slots;
use crate::egress::Gateway;
use crate::metrics::Metrics;
use crate::output::OutputCap;
use crate::trees::TreeCache;

/// Shared by all attempts of one executor.
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
    /// Decrypts the environment variables of runs.
    pub keyring: Option<Keyring>,
    pub gateway: Gateway,
    pub limits: Limits,
    pub disk_bytes: Option<u64>,
    /// Bounds of the collection of artifacts, of runs whose plan has none.
    pub artifact_limits: ArtifactLimits,
    /// Closed while the store takes no new work.
    pub gate: Gate,
    pub output_cap: OutputCap,
    pub grace: Duration,
    pub metrics: Metrics,
    pub running: Running,
    pub slots: Slots,
}
