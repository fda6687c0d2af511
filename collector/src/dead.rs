//! Dead letters: a job that kills or confuses whoever takes it ends its run, so that no run waits forever.
//! Letters that name no run stay in the queue for an operator.

use std::time::Duration;

use infra::amqp::{Delivery, Source};
use schemas::Timestamp;
use schemas::id::RunId;
use schemas::message::{EventMessage, Job, RunEnd, Verdict, decode_json};
use schemas::run::{FailureReason, OutcomeSource};
use tokio_util::sync::CancellationToken;

use crate::service::Parts;
use crate::tables::runs;
use crate::{batch, seal};

/// Letters that cannot be used are held unacknowledged, so this bounds how many before the reader stands still.
const PREFETCH: u16 = 256;
const RETRY_DELAY: Duration = Duration::from_millis(500);

pub(crate) async fn work(parts: Parts, shutdown: CancellationToken) {
    let mut consumer = parts.amqp.consume(Source::Dead, PREFETCH);
    let mut held: Vec<Delivery> = Vec::new();
    loop {
        let delivery = tokio::select! {
            delivery = consumer.next() => delivery,
            () = shutdown.cancelled() => None,
        };
        let Some(delivery) = delivery else { return };
        let Some(run) = run_of(&delivery) else {
            tracing::error!(
                from = delivery.dead_from,
                bytes = delivery.body.len(),
                "a dead letter names no run, it is kept"
            );
            held.push(delivery);
            continue;
        };
        tracing::error!(%run, from = delivery.dead_from, "a message about this run was dead-lettered");
        while let Err(error) = end(&parts, &run).await {
            parts.metrics.retries.with_label_values(&["dead"]).inc();
            tracing::warn!(%run, error = %format!("{error:#}"), "a dead run could not be ended, trying again");
            tokio::select! {
                () = tokio::time::sleep(RETRY_DELAY) => {}
                () = shutdown.cancelled() => return,
            }
        }
        delivery.ack().await;
    }
}

fn run_of(delivery: &Delivery) -> Option<RunId> {
    if let Ok(job) = decode_json::<Job>(&delivery.body) {
        return Some(job.run_id);
    }
    if let Ok(message) = EventMessage::decode(&delivery.body) {
        return Some(message.run_id);
    }
    // The rest may be unreadable while the name of the run is not.
    let value: serde_json::Value = serde_json::from_slice(&delivery.body).ok()?;
    value.get("runId")?.as_str()?.parse().ok()
}

async fn end(parts: &Parts, run: &RunId) -> anyhow::Result<()> {
    let client = parts.pool.get().await?;
    let token = runs::fence(&client, run).await?;
    drop(client);
    if let Some(attempt) = token {
        let end = RunEnd::Abandoned {
            reason: Verdict::Failed { reason: FailureReason::InternalError },
            source: OutcomeSource::Broker,
            at: Timestamp::now(),
            message: Some("a message about this run could not be handled and was dead-lettered".to_owned()),
        };
        let message = EventMessage { run_id: run.clone(), attempt, segment: None, end: Some(end) };
        batch::store(parts, std::iter::once(&message)).await?;
    }
    // Also when the outcome was fixed before: then the seal may be what is missing.
    seal::seal(parts, std::slice::from_ref(run)).await
}
