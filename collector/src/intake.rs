//! Takes messages of all event partitions: stores batches of them in order, then hands ended runs to the sealer.
//! One worker for all partitions of this process, since a fuller batch costs the database hardly more than a small one.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::future::join_all;
use infra::amqp::{Consumer, Delivery, Source};
use schemas::id::RunId;
use schemas::message::EventMessage;
use schemas::partition::EVENT_PARTITIONS;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::batch::{self, Stored};
use crate::log::Spills;
use crate::pace::Pace;
use crate::seal;
use crate::service::Parts;

/// Messages of one partition taken from the broker but not yet acknowledged, sealing included.
const PREFETCH: u16 = 512;
/// Messages stored in one transaction.
const BATCH: usize = 256;
/// Batches begin no closer to each other than this, unless one is full: a transaction for ten runs costs hardly more
/// than one for a single run, so under load they should meet in it. After a quiet moment nothing waits.
const PACE: Duration = Duration::from_millis(40);
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// A delivery that is acknowledged only when its run is sealed.
#[derive(Debug)]
pub(crate) struct Ended {
    pub run: RunId,
    pub delivery: Delivery,
}

pub(crate) async fn work(parts: Parts, shutdown: CancellationToken) {
    let (to_sealer, ended) = mpsc::channel(usize::from(PREFETCH));
    let sealer = tokio::spawn(seal::work(parts.clone(), ended, shutdown.clone()));
    let (sender, mut messages) = mpsc::channel(BATCH);
    let forwarders: Vec<_> = (0..EVENT_PARTITIONS)
        .map(|number| tokio::spawn(forward(parts.clone(), number, sender.clone(), shutdown.clone())))
        .collect();
    drop(sender);
    let mut spills = Spills::default();
    let mut pace = Pace::new(PACE);
    while let Some(first) = messages.recv().await {
        pace.wait_while(|| messages.len() + 1 < BATCH).await;
        let mut deliveries = vec![first];
        while deliveries.len() < BATCH
            && let Ok(next) = messages.try_recv()
        {
            deliveries.push(next);
        }
        if !handle(&parts, deliveries, &mut spills, &to_sealer, &shutdown).await {
            break;
        }
    }
    drop(to_sealer);
    if let Err(error) = sealer.await {
        tracing::error!(%error, "the sealer ended unexpectedly");
    }
    // Nothing is in work any more: whoever comes next finds the partitions in order.
    drop(messages);
    let consumers = join_all(forwarders).await;
    join_all(consumers.into_iter().flatten().map(Consumer::finish)).await;
}

/// One partition into the common stream, in order, until shutdown. The consumer keeps its place in the queue.
async fn forward(parts: Parts, number: u32, sender: mpsc::Sender<Delivery>, shutdown: CancellationToken) -> Consumer {
    let mut consumer = parts.amqp.consume(Source::Events(number), PREFETCH);
    loop {
        let delivery = tokio::select! {
            delivery = consumer.next() => delivery,
            () = shutdown.cancelled() => None,
        };
        let Some(delivery) = delivery else { return consumer };
        if sender.send(delivery).await.is_err() {
            return consumer;
        }
    }
}

/// False when it was interrupted: nothing of the batch was acknowledged then.
async fn handle(
    parts: &Parts,
    deliveries: Vec<Delivery>,
    spills: &mut Spills,
    to_sealer: &mpsc::Sender<Ended>,
    shutdown: &CancellationToken,
) -> bool {
    let mut messages = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        match EventMessage::decode(&delivery.body) {
            Ok(message) => messages.push((delivery, message)),
            Err(error) => {
                tracing::error!(%error, bytes = delivery.body.len(), "an undecodable event message is dead-lettered");
                parts.metrics.messages.with_label_values(&["undecodable"]).inc();
                delivery.dead_letter().await;
            }
        }
    }
    parts.metrics.batch_size.observe(f64::from(u32::try_from(messages.len()).unwrap_or(u32::MAX)));
    let Some(groups) = store(parts, messages, shutdown).await else { return false };
    for (messages, stored) in groups {
        parts.announce(stored.live).await;
        for ((delivery, message), verdict) in messages.into_iter().zip(stored.verdicts) {
            parts.metrics.messages.with_label_values(&[verdict.as_str()]).inc();
            if verdict.stored_segment()
                && let Some(segment) = &message.segment
            {
                parts.metrics.log_bytes.inc_by(segment.plain_bytes);
                spills.count(&message.run_id, segment.frame.len() as u64);
            }
            if verdict.needs_seal() && message.end.is_some() {
                spills.forget(&message.run_id);
                if to_sealer.send(Ended { run: message.run_id, delivery }).await.is_err() {
                    return false;
                }
            } else {
                delivery.ack().await;
            }
        }
    }
    spills.write(parts).await;
    true
}

type Received = Vec<(Delivery, EventMessage)>;

/// Stores the messages together; if the database refuses that, one by one, so that a bad message fails alone and is
/// dead-lettered. An absent database is waited for. `None` when interrupted.
async fn store(parts: &Parts, messages: Received, shutdown: &CancellationToken) -> Option<Vec<(Received, Stored)>> {
    let mut todo = VecDeque::from([messages]);
    let mut done = Vec::new();
    while let Some(messages) = todo.pop_front() {
        let error = match batch::store(parts, messages.iter().map(|(_, message)| message)).await {
            Ok(stored) => {
                done.push((messages, stored));
                continue;
            }
            Err(error) => error,
        };
        parts.metrics.retries.with_label_values(&["store"]).inc();
        if !batch::is_refused(&error) {
            tracing::warn!(error = %format!("{error:#}"), "a batch could not be stored, trying again");
            todo.push_front(messages);
            tokio::select! {
                () = tokio::time::sleep(RETRY_DELAY) => {}
                () = shutdown.cancelled() => return None,
            }
        } else if messages.len() > 1 {
            todo.extend(messages.into_iter().map(|message| vec![message]));
        } else {
            for (delivery, message) in messages {
                tracing::error!(run = %message.run_id, error = %format!("{error:#}"), "a message is dead-lettered");
                parts.metrics.messages.with_label_values(&["refused"]).inc();
                delivery.dead_letter().await;
            }
        }
    }
    Some(done)
}
