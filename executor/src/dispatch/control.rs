//! Stops attempts: on messages, which are hints and may be lost, and by asking the database.

use std::sync::Arc;
use std::time::Duration;

use infra::amqp::Source;
use infra::task::{Next, every};
use schemas::message::{Control, decode_json};
use tokio_util::sync::CancellationToken;

use super::claim;
use super::running::Stop;
use crate::context::Context;

/// Interval at which the database is asked which attempts should stop.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);
const CONTROL_PREFETCH: u16 = 64;

/// Stops attempts when a message says so.
pub(crate) async fn listen(context: Arc<Context>, drained: CancellationToken) {
    let mut consumer = context.amqp.consume(Source::Control, CONTROL_PREFETCH);
    loop {
        let delivery = tokio::select! {
            delivery = consumer.next() => delivery,
            () = drained.cancelled() => None,
        };
        let Some(delivery) = delivery else { return };
        match decode_json(&delivery.body) {
            Ok(Control::Cancel { run_id }) => context.running.stop(&run_id, Stop::Canceled, None),
            Ok(Control::Fence { run_id, attempt }) => context.running.stop(&run_id, Stop::Silent, Some(attempt)),
            Err(error) => tracing::warn!(%error, "ignoring an unknown control message"),
        }
        delivery.ack().await;
    }
}

/// Stops attempts when the database says so, in case a message was lost.
pub(crate) async fn watch(context: Arc<Context>, drained: CancellationToken) {
    let look = async || {
        let attempts = context.running.list();
        if !attempts.is_empty() {
            for (run, stop) in claim::to_stop(&context.pool, &attempts).await? {
                context.running.stop(&run, stop, None);
            }
        }
        Ok(Next::AfterInterval)
    };
    every(WATCH_INTERVAL, "ask which attempts should stop", drained, look).await;
}
