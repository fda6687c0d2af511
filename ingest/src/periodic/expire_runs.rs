//! Ends runs whose archive or start never came: the collector is told, once, in the transaction that marks the run.

use std::time::Duration;

use database::OutboxMessage;
use schemas::message::{EventMessage, Verdict};
use schemas::run::{FailureReason, OutcomeSource};
use tokio_util::sync::CancellationToken;

use super::pause;
use crate::app::App;
use crate::db::runs::{self, Run};

const BATCH: i64 = 100;
/// A short expiry is looked after more often, but no more often than this.
const SHORTEST_PAUSE_MS: u64 = 200;
const LONGEST_PAUSE_MS: u64 = 60_000;

pub(super) async fn run(app: App, shutdown: CancellationToken) {
    let pause_ms = (app.config.upload_expiry_ms / 10).clamp(SHORTEST_PAUSE_MS, LONGEST_PAUSE_MS);
    while pause(Duration::from_millis(pause_ms), &shutdown).await {
        loop {
            match expire_batch(&app).await {
                Ok(0) => break,
                Ok(count) => tracing::info!(count, "runs that were never started have expired"),
                Err(error) => {
                    tracing::warn!(error = %format!("{error:#}"), "runs could not be expired");
                    break;
                }
            }
        }
    }
}

async fn expire_batch(app: &App) -> anyhow::Result<usize> {
    let mut client = app.pool.get().await?;
    let transaction = client.transaction().await?;
    let expired = runs::expire_unstarted(&transaction, app.config.upload_expiry_ms, BATCH).await?;
    let messages = expired.iter().map(|run| message(app, run)).collect::<Result<Vec<_>, _>>()?;
    app.outbox.insert(&transaction, &messages).await?;
    transaction.commit().await?;
    app.outbox.wake();
    Ok(expired.len())
}

fn message(app: &App, run: &Run) -> Result<OutboxMessage, serde_json::Error> {
    let missing = if run.archive.is_none() { "archive was uploaded" } else { "start was requested" };
    let reason = Verdict::Failed { reason: FailureReason::UploadMissing };
    let why = format!("No {missing} within {} ms of the run's creation.", app.config.upload_expiry_ms);
    // No executor, broker, user or quota had a part in it: the platform concludes it from what did not come.
    let message = EventMessage::abandoned(run.id.clone(), 0, reason, OutcomeSource::Collector, Some(why));
    let traceparent = Some(run.traceparent.clone());
    Ok(OutboxMessage::event(app.topology.events_of(&run.id), message.encode()?, traceparent))
}
