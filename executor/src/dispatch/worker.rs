//! Takes jobs from the queue: one delivery for each slot, claimed in the database before anything is run, and
//! acknowledged after the run's last message is confirmed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use database::row::is_refused;
use infra::amqp::{About, Delivery, Message, Source};
use schemas::Timestamp;
use schemas::id::{CommandId, RunId, SandboxId};
use schemas::message::{Control, EventMessage, Job, Verdict, decode_json, encode_json};
use schemas::run::{FailureReason, MAX_ATTEMPTS, OutcomeSource};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::claim::{Claim, claim};
use super::running::Adoption;
use super::slots::Slot;
use crate::attempt::{Attempt, AttemptEnd, phases};
use crate::context::Context;
use crate::feed::{Feed, FeedStart};

const RETRY_DELAY: Duration = Duration::from_millis(500);

pub(crate) async fn work(context: Arc<Context>, shutdown: CancellationToken, abort: CancellationToken) {
    // As many deliveries as usable slots: what this executor cannot run now stays in the queue for others.
    let mut consumer = context.amqp.consume_by_credit(Source::Jobs, context.slots.usable());
    let mut tasks = JoinSet::new();
    loop {
        let delivery = tokio::select! {
            delivery = consumer.next() => delivery,
            () = shutdown.cancelled() => None,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
        };
        let Some(delivery) = delivery else { break };
        let job: Job = match decode_json(&delivery.body) {
            Ok(job) => job,
            Err(error) => {
                tracing::error!(%error, bytes = delivery.body.len(), "an undecodable job is dead-lettered");
                delivery.dead_letter().await;
                continue;
            }
        };
        let delivery = match context.running.adopt(&job.run_id, delivery) {
            Adoption::Unknown(delivery) => delivery,
            Adoption::Adopted => {
                tracing::info!(run = %job.run_id, "delivered again after a lost connection, the attempt goes on");
                continue;
            }
            Adoption::Twin(delivery) => {
                delivery.ack().await;
                continue;
            }
        };
        let trace = infra::traceparent::trace_id(&job.traceparent).to_owned();
        let span = tracing::info_span!("job", run = %job.run_id, trace, attempt = tracing::field::Empty);
        tasks.spawn(handle(Arc::clone(&context), job, delivery, shutdown.clone(), abort.clone()).instrument(span));
    }
    drop(consumer);
    while tasks.join_next().await.is_some() {}
}

async fn handle(
    context: Arc<Context>,
    job: Job,
    delivery: Delivery,
    shutdown: CancellationToken,
    abort: CancellationToken,
) {
    // Unacknowledged, another executor gets it.
    let Some(Some(slot)) = shutdown.run_until_cancelled(place(&context)).await else {
        if !shutdown.is_cancelled() {
            tracing::warn!("no slot is in use: the job goes to another executor");
            delivery.give_back().await;
        }
        return;
    };
    let (sandbox_id, command_id) = (SandboxId::new(), CommandId::new());
    let asked = Instant::now();
    let answer = loop {
        match claim(&context.pool, &job.run_id, &context.id, &sandbox_id, &command_id, delivery.redelivered).await {
            Ok(answer) => break answer,
            Err(error) if is_refused(&error) => {
                tracing::error!("cannot claim a run, and never will: {error:#}; its job is dead-lettered");
                delivery.dead_letter().await;
                return;
            }
            Err(error) => tracing::warn!(error = %format!("{error:#}"), "cannot claim a run; retrying"),
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY_DELAY) => {}
            () = shutdown.cancelled() => return,
        }
    };
    let claimed_at = Timestamp::now();
    context.metrics.phase("claim", asked);
    context.metrics.claims.with_label_values(&[answer.as_str()]).inc();
    match answer {
        Claim::Duplicate | Claim::Ended => {
            tracing::info!(answer = answer.as_str(), "nothing to run");
            delivery.ack().await;
        }
        Claim::Canceled { token } => abandon(&context, &job, token, Verdict::Canceled, None, &delivery).await,
        Claim::Exhausted { token } => {
            let verdict = Verdict::Failed { reason: FailureReason::SandboxUnavailable };
            let message = format!("{MAX_ATTEMPTS} executors were lost while they ran this command");
            abandon(&context, &job, token, verdict, Some(message), &delivery).await;
        }
        Claim::Go { attempt, next_seq, sealed_env } => {
            tracing::Span::current().record("attempt", attempt);
            if attempt > 1 {
                fence_older(&context, &job.run_id, attempt).await;
            }
            let registration = context.running.begin(&job.run_id, attempt, delivery, &abort);
            let feed = FeedStart {
                run: job.run_id.clone(),
                attempt,
                next_seq,
                target: context.amqp.topology.events_of(&job.run_id),
                traceparent: job.traceparent.clone(),
                flush_first_output: context.slots.has_free(),
                halt: registration.halt.clone(),
            };
            let feed = Feed::start(context.publisher.clone(), feed, context.metrics.segments.clone());
            context.metrics.busy.inc();
            let attempt = Attempt {
                context: &context,
                job: &job,
                number: attempt,
                slot: &slot,
                sandbox_id,
                command_id,
                claimed_at,
                sealed_env,
                feed,
            };
            let ended = Box::pin(phases::run(attempt, &registration.halt)).await;
            context.metrics.busy.dec();
            // Without an end the delivery stays unacknowledged, as if this process had been lost.
            let delivery = registration.finish().filter(|_| ended == AttemptEnd::Reported);
            tokio::select! {
                biased;
                () = release(&context, slot, delivery, &shutdown) => {}
                // The process ends, and the slot with it.
                () = abort.cancelled() => {}
            }
        }
    }
}

/// Waits for a slot, and for the store: without it the run could neither get its archive nor be sealed, so it waits as it would
/// in the queue. `None` if no slot is in use.
async fn place(context: &Context) -> Option<Slot> {
    let slot = context.slots.take().await?;
    context.gate.opened().await;
    Some(slot)
}

/// Gives back the slot of an attempt that has ended, then the job. A slot that is not fit for another run stays away until it
/// is, and no job comes in the place of this one meanwhile.
async fn release(context: &Context, slot: Slot, delivery: Option<Delivery>, shutdown: &CancellationToken) {
    match context.host.settle(slot.number).await {
        Ok(()) => {
            drop(slot);
            if let Some(delivery) = delivery {
                delivery.ack().await;
            }
        }
        Err(error) => {
            let unfit = slot.unfit(error.to_string());
            if let Some(delivery) = delivery {
                delivery.ack_in_exchange().await;
            }
            unfit.mended(&context.host, shutdown).await;
        }
    }
}

/// Tells that no further attempt is made, then acknowledges the job.
async fn abandon(
    context: &Context,
    job: &Job,
    token: u32,
    reason: Verdict,
    message: Option<String>,
    delivery: &Delivery,
) {
    let source = if reason == Verdict::Canceled { OutcomeSource::User } else { OutcomeSource::Executor };
    let message = EventMessage::abandoned(job.run_id.clone(), token, reason, source, message);
    let Ok(body) = message.encode() else { return };
    let message = Message {
        target: context.amqp.topology.events_of(&job.run_id),
        body: body.into(),
        content_type: EventMessage::CONTENT_TYPE,
        traceparent: Some(job.traceparent.clone()),
        about: Some(About::attempt(&job.run_id, token)),
    };
    let published = match context.publisher.publish(message).await {
        Ok(receipt) => receipt.confirmed().await,
        Err(error) => Err(error),
    };
    match published {
        Ok(()) => delivery.ack().await,
        Err(error) => tracing::error!(%error, "cannot publish an ending; the job will be redelivered"),
    }
}

/// The older attempt may still be running behind a broken connection: it should stop, nobody listens to it.
async fn fence_older(context: &Context, run: &RunId, attempt: u32) {
    let Ok(body) = encode_json(&Control::Fence { run_id: run.clone(), attempt }) else { return };
    let message = Message {
        target: context.amqp.topology.control(),
        body: body.into(),
        content_type: "application/json",
        traceparent: None,
        about: Some(About::attempt(run, attempt)),
    };
    if let Err(error) = context.publisher.publish(message).await {
        tracing::debug!(%error, "cannot tell an older attempt to stop");
    }
}
