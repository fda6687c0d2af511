//! Takes messages of all event partitions: stores groups of them in order, then hands ended runs to the sealer. One
//! worker serves all partitions of this process, since a full group costs the database hardly more than a small one.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::Duration;

use futures_util::future::join_all;
use infra::amqp::{Consumer, Delivery, Source};
use schemas::message::EventMessage;
use schemas::message::partition::EVENT_PARTITIONS;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::spills::Spills;
use super::store::{self, Stored};
use crate::context::Context;
use crate::pace::Pace;
use crate::seal::worker::{self as sealer, SealRequest};

/// Messages of one partition taken from the broker but not yet acknowledged, sealing included.
const PREFETCH: u16 = 512;
/// Messages stored in one transaction.
const GROUP: usize = 256;
/// Minimum time between the beginnings of two groups, unless one is full: a transaction for ten runs costs hardly more
/// than one for a single run, so under load they should meet in it. After a quiet moment nothing waits.
const PACE: Duration = Duration::from_millis(40);
const RETRY_DELAY: Duration = Duration::from_millis(250);

type Received = Vec<(Delivery, EventMessage)>;

pub(crate) async fn work(context: Context, shutdown: CancellationToken) {
    let (to_sealer, requests) = mpsc::channel(usize::from(PREFETCH));
    let sealer = tokio::spawn(sealer::work(context.clone(), requests, shutdown.clone()));
    let (sender, mut messages) = mpsc::channel(GROUP);
    let forwarders: Vec<_> = (0..EVENT_PARTITIONS)
        .map(|number| tokio::spawn(forward(context.clone(), number, sender.clone(), shutdown.clone())))
        .collect();
    drop(sender);
    let mut spills = Spills::default();
    let mut pace = Pace::new(PACE);
    while let Some(first) = messages.recv().await {
        pace.wait_while(|| messages.len() + 1 < GROUP).await;
        let mut deliveries = vec![first];
        while deliveries.len() < GROUP
            && let Ok(next) = messages.try_recv()
        {
            deliveries.push(next);
        }
        if handle(&context, deliveries, &mut spills, &to_sealer, &shutdown).await.is_break() {
            break;
        }
    }
    drop(to_sealer);
    if let Err(error) = sealer.await {
        tracing::error!(%error, "the sealer ended unexpectedly");
    }
    // Nothing is in work any more: the next consumer finds the partitions in order.
    drop(messages);
    let consumers = join_all(forwarders).await;
    join_all(consumers.into_iter().flatten().map(Consumer::finish)).await;
}

/// Forwards one partition into the common stream, in order, until shutdown. The consumer keeps its place in the queue.
async fn forward(
    context: Context,
    number: u32,
    sender: mpsc::Sender<Delivery>,
    shutdown: CancellationToken,
) -> Consumer {
    let mut consumer = context.amqp.consume(Source::Events(number), PREFETCH);
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

/// Breaks when interrupted: then nothing of the group was acknowledged.
async fn handle(
    context: &Context,
    deliveries: Vec<Delivery>,
    spills: &mut Spills,
    to_sealer: &mpsc::Sender<SealRequest>,
    shutdown: &CancellationToken,
) -> ControlFlow<()> {
    let received = decode(context, deliveries).await;
    context.metrics.group_size.observe(f64::from(u32::try_from(received.len()).unwrap_or(u32::MAX)));
    for (messages, stored) in store_all(context, received, shutdown).await? {
        context.announce(stored.live).await;
        for ((delivery, message), standing) in messages.into_iter().zip(stored.standings) {
            context.metrics.messages.with_label_values(&[standing.as_str()]).inc();
            if standing.stored_segment()
                && let Some(segment) = &message.segment
            {
                context.metrics.log_bytes.inc_by(segment.plain_bytes);
                spills.count(&message.run_id, segment.frame.len() as u64);
            }
            if standing.needs_seal() && message.end.is_some() {
                spills.forget(&message.run_id);
                if to_sealer.send(SealRequest { run: message.run_id, delivery }).await.is_err() {
                    return ControlFlow::Break(());
                }
            } else {
                delivery.ack().await;
            }
        }
    }
    spills.write(context).await;
    ControlFlow::Continue(())
}

/// Undecodable messages are dead-lettered, each alone.
async fn decode(context: &Context, deliveries: Vec<Delivery>) -> Received {
    let mut messages = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        match EventMessage::decode(&delivery.body) {
            Ok(message) => messages.push((delivery, message)),
            Err(error) => {
                tracing::error!(%error, bytes = delivery.body.len(), "cannot decode an event message; dead-lettering it");
                context.metrics.messages.with_label_values(&["undecodable"]).inc();
                delivery.dead_letter().await;
            }
        }
    }
    messages
}

/// Stores the messages together; if the database refuses that, one by one, so that a bad message fails alone and is
/// dead-lettered. Waits for an absent database. Breaks when interrupted.
async fn store_all(
    context: &Context,
    messages: Received,
    shutdown: &CancellationToken,
) -> ControlFlow<(), Vec<(Received, Stored)>> {
    let mut todo = VecDeque::from([messages]);
    let mut done = Vec::new();
    while let Some(messages) = todo.pop_front() {
        let error = match store::store(context, messages.iter().map(|(_, message)| message)).await {
            Ok(stored) => {
                done.push((messages, stored));
                continue;
            }
            Err(error) => error,
        };
        context.metrics.retries.with_label_values(&["store"]).inc();
        if !store::is_refused(&error) {
            tracing::warn!(error = %format!("{error:#}"), "cannot store a group of messages; retrying");
            todo.push_front(messages);
            tokio::select! {
                () = tokio::time::sleep(RETRY_DELAY) => {}
                () = shutdown.cancelled() => return ControlFlow::Break(()),
            }
        } else if messages.len() > 1 {
            todo.extend(messages.into_iter().map(|message| vec![message]));
        } else {
            for (delivery, message) in messages {
                tracing::error!(run = %message.run_id, error = %format!("{error:#}"), "the database refuses a message; dead-lettering it");
                context.metrics.messages.with_label_values(&["refused"]).inc();
                delivery.dead_letter().await;
            }
        }
    }
    ControlFlow::Continue(done)
}
