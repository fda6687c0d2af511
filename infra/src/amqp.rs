//! RabbitMQ: the topology, and supervised connections that survive the broker's restarts.
//! Publishing and consuming use separate connections, because a resource alarm blocks publishers.

mod consumer;
mod credit;
mod depth;
mod publisher;
mod session;
mod setup;
pub mod topology;

use clap::Args;
use schemas::id::RunId;

use crate::config::{Secret, SecretValue};

pub use consumer::{Consumer, Delivery};
pub use depth::{DepthError, QueueDepth, QueueDepths};
pub use publisher::{MAX_BODY_BYTES, Message, PublishError, Publisher, Receipt};
pub use topology::{Source, Target, Topology};

/// Header with the W3C trace context of the run.
pub const TRACEPARENT: &str = "traceparent";
/// Headers with the run that a message is about and the attempt that sent it: they name both where the body cannot be read.
const RUN: &str = "crownest-run";
const ATTEMPT: &str = "crownest-attempt";

/// The run that a message is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    pub run: RunId,
    /// The attempt that sent the message; `None` if none did.
    pub attempt: Option<u32>,
}

impl About {
    pub fn run(run: &RunId) -> Self {
        Self { run: run.clone(), attempt: None }
    }

    pub fn attempt(run: &RunId, attempt: u32) -> Self {
        Self { run: run.clone(), attempt: Some(attempt) }
    }
}

const URL: SecretValue = SecretValue {
    expected: "amqp://user:password@host:port/vhost",
    is_valid: |text| text.parse::<lapin::uri::AMQPUri>().is_ok(),
};

#[derive(Debug, Clone, Args)]
pub struct AmqpConfig {
    /// RabbitMQ as `amqp://user:password@host:port/vhost`
    #[arg(long, env = "CROWNEST_AMQP_URL", value_name = "URL", hide_env_values = true,
          value_parser = URL)]
    pub amqp_url: Secret,
    #[command(flatten)]
    pub names: AmqpNames,
}

#[derive(Debug, Clone, Args)]
pub struct AmqpNames {
    /// First part of every queue and exchange name
    #[arg(long, env = "CROWNEST_AMQP_PREFIX", default_value = "crownest", value_name = "NAME")]
    pub amqp_prefix: String,
    /// Pool of executors: jobs go to the queue `<prefix>.jobs.<pool>`
    #[arg(long, env = "CROWNEST_POOL", default_value = "default", value_name = "NAME")]
    pub pool: String,
}

/// A broker and the names used there, not connected yet. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Amqp {
    url: Secret,
    /// Name in the broker's list of connections.
    service: &'static str,
    pub topology: Topology,
}

impl Amqp {
    pub fn new(config: &AmqpConfig, service: &'static str) -> Self {
        let topology = Topology::new(&config.names.amqp_prefix, &config.names.pool);
        Self { url: config.amqp_url.clone(), service, topology }
    }
}
