//! The dependencies that every part of metering works with.

use database::{Outbox, Pool};
use infra::amqp::Topology;

use crate::metrics::Metrics;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub pool: Pool,
    pub outbox: Outbox,
    pub topology: Topology,
    pub metrics: Metrics,
}
