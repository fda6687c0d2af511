//! The context that all rooms of the collector share: connections, metrics, the signing key and a few settings.

use std::sync::Arc;
use std::time::Duration;

use database::Outbox;
use database::Pool;
use infra::amqp::{Amqp, Message, Publisher};
use infra::s3::Store;
use schemas::message::{LiveNotice, LiveRun, encode_json};

use crate::metrics::Metrics;
use crate::recent_objects::RecentObjects;
use crate::signing::Signer;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub pool: Pool,
    pub store: Store,
    /// `store` with Object Lock applied, for sealed objects.
    pub vault: Store,
    pub amqp: Amqp,
    pub publisher: Publisher,
    pub outbox: Outbox,
    pub metrics: Metrics,
    pub recent_objects: RecentObjects,
    pub signer: Arc<Signer>,
    pub builder_id: String,
    pub part_bytes: u64,
    pub segment_retention: Duration,
}

impl Context {
    /// Tells live readers what is durable now. The notice is a hint: readers also look by themselves.
    pub(crate) async fn announce(&self, runs: Vec<LiveRun>) {
        if runs.is_empty() {
            return;
        }
        let Ok(body) = encode_json(&LiveNotice { runs }) else { return };
        let message = Message {
            target: self.amqp.topology.live(),
            body: body.into(),
            content_type: "application/json",
            traceparent: None,
            about: None,
        };
        if let Err(error) = self.publisher.publish(message).await {
            tracing::warn!(%error, "cannot notify live readers");
        }
    }
}
