//! Ends runs whose archive or start never came: the collector is told, once, in the transaction that marks the run.

use std::time::Duration;

use database::OutboxMessage;
use schemas::Timestamp;
use schemas::message::{EventMessage, RunEnd, Verdict};
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
    let letters = expired.iter().map(|run| letter(app, run)).collect::<Result<Vec<_>, _>>()?;
    app.outbox.insert(&transaction, &letters).await?;
    transaction.commit().await?;
    app.outbox.wake();
    Ok(expired.len())
}

fn letter(app: &App, run: &Run) -> Result<OutboxMessage, serde_json::Error> {
    let missing = if run.archive.is_none() { "archive was uploaded" } else { "start was requested" };
    let end = RunEnd::Abandoned {
        reason: Verdict::Failed { reason: FailureReason::UploadMissing },
        // No executor, broker, user or quota had a part in it: the platform concludes it from what did not come.
        source: OutcomeSource::Collector,
        at: Timestamp::now(),
        message: Some(format!("No {missing} within {} ms of the run's creation.", app.config.upload_expiry_ms)),
    };
    let message = EventMessage { run_id: run.id.clone(), attempt: 0, segment: None, end: Some(end) };
    let traceparent = Some(run.traceparent.clone());
    Ok(OutboxMessage::event(app.topology.events_of(&run.id), message.encode()?, traceparent))
}
