//! Dead letters: a job that kills or confuses whoever takes it ends its run, so that no run waits forever.
//! Letters that name no run stay in the queue for an operator.

use std::time::Duration;

use infra::amqp::{Delivery, Source};
use schemas::id::RunId;
use schemas::message::{EventMessage, Job, Verdict, decode_json};
use schemas::run::{FailureReason, OutcomeSource};
use tokio_util::sync::CancellationToken;

use super::store;
use crate::context::Context;
use crate::db::runs;
use crate::seal;

/// Letters that name no run are held unacknowledged, so this bounds how many before the reader stands still.
const PREFETCH: u16 = 256;
const RETRY_DELAY: Duration = Duration::from_millis(500);

pub(crate) async fn work(context: Context, shutdown: CancellationToken) {
    let mut consumer = context.amqp.consume(Source::Dead, PREFETCH);
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
                "a dead letter names no run; keeping it in the queue"
            );
            held.push(delivery);
            continue;
        };
        tracing::error!(%run, from = delivery.dead_from, "a message about this run was dead-lettered");
        while let Err(error) = end(&context, &run).await {
            context.metrics.retries.with_label_values(&["dead"]).inc();
            tracing::warn!(%run, error = %format!("{error:#}"), "cannot end the run of a dead letter; retrying");
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
    // The rest may be unreadable while the run's id is not.
    let value: serde_json::Value = serde_json::from_slice(&delivery.body).ok()?;
    value.get("runId")?.as_str()?.parse().ok()
}

async fn end(context: &Context, run: &RunId) -> anyhow::Result<()> {
    let client = context.pool.get().await?;
    let token = runs::fence(&client, run).await?;
    drop(client);
    if let Some(attempt) = token {
        let reason = Verdict::Failed { reason: FailureReason::InternalError };
        let why = "a message about this run could not be handled and was dead-lettered".to_owned();
        let message = EventMessage::abandoned(run.clone(), attempt, reason, OutcomeSource::Broker, Some(why));
        store::store(context, std::iter::once(&message)).await?;
    }
    // The outcome may have been fixed before: then only the seal is missing.
    seal::seal(context, std::slice::from_ref(run)).await
}
