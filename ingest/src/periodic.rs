//! What runs beside the requests, each until it is told to stop.

mod deliver_webhooks;
mod expire_runs;
mod gauges;
mod queue_depths;
mod record_uses;
mod sweep_answers;
mod sweep_deliveries;
mod sweep_staged;

use std::fmt;
use std::time::Duration;

use infra::amqp::Amqp;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;

/// Starts them all.
pub(crate) fn spawn(app: &App, amqp: &Amqp, tasks: &TaskTracker, shutdown: &CancellationToken) {
    tasks.spawn(deliver_webhooks::run(app.clone(), shutdown.clone()));
    tasks.spawn(expire_runs::run(app.clone(), shutdown.clone()));
    tasks.spawn(gauges::run(app.clone(), shutdown.clone()));
    tasks.spawn(queue_depths::run(app.clone(), amqp.clone(), shutdown.clone()));
    tasks.spawn(record_uses::run(app.clone(), shutdown.clone()));
    tasks.spawn(sweep_answers::run(app.clone(), shutdown.clone()));
    tasks.spawn(sweep_deliveries::run(app.clone(), shutdown.clone()));
    tasks.spawn(sweep_staged::run(app.clone(), shutdown.clone()));
}

/// False when it is time to stop.
async fn pause(length: Duration, shutdown: &CancellationToken) -> bool {
    tokio::select! {
        () = tokio::time::sleep(length) => true,
        () = shutdown.cancelled() => false,
    }
}

/// After every pause, batch by batch until `sweep` finds nothing more to remove.
async fn sweep_every<F, E>(
    length: Duration,
    what: &'static str,
    (app, shutdown): (App, CancellationToken),
    sweep: fn(App) -> F,
) where
    F: Future<Output = Result<u64, E>>,
    E: fmt::Display,
{
    while pause(length, &shutdown).await {
        loop {
            match sweep(app.clone()).await {
                Ok(0) => break,
                Ok(count) => tracing::debug!(what, count, "swept"),
                Err(error) => {
                    tracing::warn!(what, error = %format!("{error:#}"), "could not be swept");
                    break;
                }
            }
        }
    }
}
