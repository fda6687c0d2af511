//! Dead letters: a message that kills or confuses whoever takes it ends its run, so that no run waits forever. A letter about
//! which nothing can be done is parked in a queue for operators. The reader keeps no letter, so it never stands still.

use std::time::Duration;

use database::row::is_refused;
use infra::amqp::{About, Delivery, Message, Source};
use schemas::id::RunId;
use schemas::message::{EventMessage, Job, Verdict, decode_json};
use schemas::run::{FailureReason, OutcomeSource};
use tokio_util::sync::CancellationToken;

use super::store;
use crate::context::Context;
use crate::db::runs;
use crate::seal;

const PREFETCH: u16 = 16;
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// The run's identifier is among the first members of each message of ours.
const SEARCHED_BYTES: usize = 4096;

pub(crate) async fn work(context: Context, shutdown: CancellationToken) {
    let mut consumer = context.amqp.consume(Source::Dead, PREFETCH);
    loop {
        let delivery = tokio::select! {
            delivery = consumer.next() => delivery,
            () = shutdown.cancelled() => None,
        };
        let Some(delivery) = delivery else { return };
        while let Err(error) = handle(&context, &delivery).await {
            context.metrics.retries.with_label_values(&["dead"]).inc();
            tracing::warn!("cannot handle a dead letter: {error:#}; retrying");
            tokio::select! {
                () = tokio::time::sleep(RETRY_DELAY) => {}
                () = shutdown.cancelled() => return,
            }
        }
        delivery.ack().await;
    }
}

/// Fails where a retry may help.
async fn handle(context: &Context, delivery: &Delivery) -> anyhow::Result<()> {
    let from = delivery.dead_from.as_deref();
    // Usage is about a run that is over already: what is missing is the accounting, which nobody can make up.
    let is_usage = from == Some(context.amqp.topology.usage().routing_key.as_str());
    let Some(about) = about(delivery).filter(|_| !is_usage) else {
        let why = if is_usage { "it is usage" } else { "it names no run" };
        return park(context, delivery, why).await;
    };
    tracing::error!(run = %about.run, from, "a message about this run was dead-lettered");
    match end(context, &about).await {
        Err(error) if is_refused(&error) => {
            tracing::error!(run = %about.run, "the database refuses to end the run of a dead letter: {error:#}");
            park(context, delivery, "its run cannot be ended").await
        }
        ended => ended,
    }
}

/// The run that the letter is about: as its publisher named it, or as its body does, or as the beginning of a body does that
/// cannot be read.
fn about(delivery: &Delivery) -> Option<About> {
    let body = &delivery.body;
    let told = delivery.about.clone();
    let told = told.or_else(|| decode_json::<Job>(body).ok().map(|job| About::run(&job.run_id)));
    let decoded = || EventMessage::decode(body).ok().map(|message| About::attempt(&message.run_id, message.attempt));
    told.or_else(decoded).or_else(|| run_in(body).map(|run| About { run, attempt: None }))
}

/// The first member `runId`. A text within a message cannot stand for it: there, its quotation marks are escaped.
fn run_in(body: &[u8]) -> Option<RunId> {
    let head = String::from_utf8_lossy(&body[..body.len().min(SEARCHED_BYTES)]);
    let (_, value) = head.split_once("\"runId\"")?;
    let value = value.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
    value.split_once('"')?.0.parse().ok()
}

/// Moves the letter to the parked ones.
async fn park(context: &Context, delivery: &Delivery, why: &str) -> anyhow::Result<()> {
    let (from, bytes) = (delivery.dead_from.as_deref(), delivery.body.len());
    tracing::error!(from, bytes, "parking a dead letter: {why}");
    let message = Message {
        target: context.amqp.topology.parked(),
        body: delivery.body.clone(),
        content_type: "application/octet-stream",
        traceparent: delivery.traceparent.clone(),
        about: delivery.about.clone(),
    };
    match context.publisher.publish(message).await?.confirmed().await {
        // A letter that no queue of ours takes was not written by us: the log has all that is kept of it.
        Err(error @ infra::amqp::PublishError::TooLarge(_)) => tracing::error!(from, %error, "dropping a dead letter"),
        parked => parked?,
    }
    context.metrics.parked.inc();
    Ok(())
}

async fn end(context: &Context, about: &About) -> anyhow::Result<()> {
    let run = &about.run;
    let client = context.pool.get().await?;
    let token = runs::fence(&client, run, about.attempt).await?;
    drop(client);
    if let Some(attempt) = token {
        let reason = Verdict::Failed { reason: FailureReason::InternalError };
        let why = "a message about this run could not be handled and was dead-lettered".to_owned();
        let message = EventMessage::abandoned(run.clone(), attempt, reason, OutcomeSource::Broker, Some(why));
        store::store(context, std::iter::once(&message)).await?;
    }
    // The outcome may have been fixed before: then only the seal is missing. One that fails is tried again by itself.
    if let Err(error) = seal::seal(context, std::slice::from_ref(run)).await {
        tracing::warn!(%run, "cannot seal the run of a dead letter: {error:#}; retrying later");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::run_in;

    #[test]
    fn a_body_that_cannot_be_read_names_its_run() {
        let far = format!("{}\"runId\":\"wsr_1\"", " ".repeat(5000));
        for (body, expected) in [
            ("\0\0\u{1}\u{7f}{\"v\":1,\"runId\":\"wsr_1\",\"attempt\":1,\"end\":", Some("wsr_1")),
            ("{\"v\":9, \"runId\" : \"wsr_2\"", Some("wsr_2")),
            ("{\"a\":\"\\\"runId\\\":\\\"wsr_3\\\"\",\"runId\":\"wsr_4\"}", Some("wsr_4")),
            ("{\"runId\":\"prj_1\"}", None),
            ("{\"runId\":5}", None),
            ("{\"runId\":\"wsr_1", None),
            (&far, None),
            ("junk", None),
            ("", None),
        ] {
            assert_eq!(run_in(body.as_bytes()).map(String::from).as_deref(), expected, "{body}");
        }
    }
}
