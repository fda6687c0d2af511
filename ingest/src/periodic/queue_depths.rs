//! Shows how many messages wait in each queue: what executors are scaled by. It stands beside `gauges`, so that a lost
//! broker does not hold back what the database knows.

use std::time::Duration;

use infra::amqp::Amqp;
use tokio_util::sync::CancellationToken;

use crate::app::App;

const INTERVAL: Duration = Duration::from_secs(5);

/// Not `infra::task::every`: a read that waits for the broker is interrupted.
pub(super) async fn run(app: App, amqp: Amqp, stop: CancellationToken) {
    let mut depths = amqp.queue_depths();
    loop {
        let read = tokio::select! {
            read = depths.read() => read,
            () = stop.cancelled() => return,
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
            Err(error) => tracing::debug!(%error, "cannot measure the queues; retrying"),
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = stop.cancelled() => return,
        }
    }
}
