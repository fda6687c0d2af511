//! Expires runs whose archive or start never came. The transaction that marks a run also tells the collector, once.

use std::time::Duration;

use database::OutboxMessage;
use infra::task::{Next, every};
use schemas::message::{EncodeError, EventMessage, Verdict};
use schemas::run::{FailureReason, OutcomeSource};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::db::runs::{self, Run};

const LIMIT: u32 = 100;
/// A short expiry is looked after more often, but not more often than this.
const SHORTEST_INTERVAL_MS: u64 = 200;
const LONGEST_INTERVAL_MS: u64 = 60_000;

pub(super) async fn run(app: App, stop: CancellationToken) {
    let interval_ms = (app.config.upload_expiry_ms / 10).clamp(SHORTEST_INTERVAL_MS, LONGEST_INTERVAL_MS);
    every(Duration::from_millis(interval_ms), "expire runs that were never started", stop, || expire(&app)).await;
}

async fn expire(app: &App) -> anyhow::Result<Next> {
    let mut client = app.pool.get().await?;
    let transaction = client.transaction().await?;
    let expired = runs::expire_unstarted(&transaction, app.config.upload_expiry_ms, LIMIT.into()).await?;
    let messages = expired.iter().map(|run| message(app, run)).collect::<Result<Vec<_>, _>>()?;
    app.outbox.insert(&transaction, &messages).await?;
    transaction.commit().await?;
    app.outbox.wake();
    let count = expired.len();
    if count > 0 {
        tracing::info!(count, "runs that were never started have expired");
    }
    Ok(Next::after(u64::try_from(count)?, LIMIT.into()))
}

fn message(app: &App, run: &Run) -> Result<OutboxMessage, EncodeError> {
    let missing = if run.archive.is_none() { "archive was uploaded" } else { "start was requested" };
    let reason = Verdict::Failed { reason: FailureReason::UploadMissing };
    let why = format!("No {missing} within {} ms of the run's creation.", app.config.upload_expiry_ms);
    // The platform concludes it from the missing request; no executor, broker, user or quota had a part in it.
    let message = EventMessage::abandoned(run.id.clone(), 0, reason, OutcomeSource::Collector, Some(why));
    let traceparent = Some(run.traceparent.clone());
    Ok(OutboxMessage::event(app.topology.events_of(&run.id), message.encode()?, &run.id, traceparent))
}
