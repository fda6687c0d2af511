//! Shows how many messages wait in each queue: what executors are scaled by. Beside `gauges`, so that a broker that is
//! gone does not keep back what the database knows.

use std::time::Duration;

use infra::amqp::Amqp;
use tokio_util::sync::CancellationToken;

use super::pause;
use crate::app::App;

const PAUSE: Duration = Duration::from_secs(5);

pub(super) async fn run(app: App, amqp: Amqp, shutdown: CancellationToken) {
    let mut depths = amqp.queue_depths();
    loop {
        let read = tokio::select! {
            read = depths.read() => read,
            () = shutdown.cancelled() => return,
        };
        // An old number would be worse than none.
        app.metrics.queue_messages.reset();
        match read {
            Ok(queues) => {
                for depth in queues {
                    let gauge = app.metrics.queue_messages.with_label_values(&[&depth.queue]);
                    gauge.set(depth.messages.into());
                }
            }
            // The publisher warns about a broker that is gone, once for each attempt to connect.
            Err(error) => tracing::debug!(%error, "the queues could not be measured"),
        }
        if !pause(PAUSE, &shutdown).await {
            return;
        }
    }
}
