//! Takes messages of all event partitions: stores groups of them in order, then hands ended runs to the sealer. One
//! worker serves all partitions of this process, since a full group costs the database hardly more than a small one.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::Duration;

use database::row::is_refused;
use futures_util::future::join_all;
use infra::amqp::{Consumer, Delivery, Source};
use schemas::message::EventMessage;
use schemas::message::partition::EVENT_PARTITIONS;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_util::sync::CancellationToken;

use super::frame;
use super::spills::Spills;
use super::store::{self, Stored};
use crate::context::Context;
use crate::db::runs::Standing;
use crate::pace::Pace;
use crate::seal::worker::{self as sealer, SealRequest};

/// Messages of one partition taken from the broker but not yet acknowledged. An ending waits for its seal, but not for a
/// second try of it: a run that cannot be sealed holds no place here.
const PREFETCH: u16 = 512;
/// Messages stored in one transaction.
const GROUP: usize = 256;
/// Minimum time between the beginnings of two groups, unless one is full: a transaction for ten runs costs hardly more
/// than one for a single run, so under load they should meet in it. After a quiet moment nothing waits.
const PACE: Duration = Duration::from_millis(40);
const RETRY_DELAY: Duration = Duration::from_millis(250);

type Received = (Delivery, EventMessage);

pub(crate) async fn work(context: Context, shutdown: CancellationToken) {
    let (to_sealer, requests) = mpsc::channel(usize::from(PREFETCH));
    let sealer = tokio::spawn(sealer::work(context.clone(), requests));
    let (sender, mut messages) = mpsc::channel(GROUP);
    let forwarders: Vec<_> = (0..EVENT_PARTITIONS)
        .map(|number| tokio::spawn(forward(context.clone(), number, sender.clone(), shutdown.clone())))
        .collect();
    drop(sender);
    let mut spills = Spills::default();
    let mut pace = Pace::new(PACE);
    while let Some(first) = messages.recv().await {
        pace.wait_while(|| messages.len() + 1 < GROUP).await;
        let mut group = vec![first];
        while group.len() < GROUP
            && let Ok(next) = messages.try_recv()
        {
            group.push(next);
        }
        if handle(&context, group, &mut spills, &to_sealer, &shutdown).await.is_break() {
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

/// Forwards one partition into the common stream, decoded and in order, until shutdown. The consumer keeps its place in the
/// queue.
async fn forward(
    context: Context,
    number: u32,
    sender: mpsc::Sender<Received>,
    shutdown: CancellationToken,
) -> Consumer {
    let mut consumer = context.amqp.consume(Source::Events(number), PREFETCH);
    loop {
        let delivery = tokio::select! {
            delivery = consumer.next() => delivery,
            () = shutdown.cancelled() => None,
        };
        let Some(delivery) = delivery else { return consumer };
        if let Some(received) = decode(&context, delivery).await
            && sender.send(received).await.is_err()
        {
            return consumer;
        }
    }
}

/// Breaks when interrupted: then nothing of the group was acknowledged.
async fn handle(
    context: &Context,
    group: Vec<Received>,
    spills: &mut Spills,
    to_sealer: &mpsc::Sender<SealRequest>,
    shutdown: &CancellationToken,
) -> ControlFlow<()> {
    context.metrics.group_size.observe(f64::from(u32::try_from(group.len()).unwrap_or(u32::MAX)));
    for (messages, stored) in store_all(context, group, shutdown).await? {
        context.announce(stored.live).await;
        for ((delivery, message), standing) in messages.into_iter().zip(stored.standings) {
            context.metrics.messages.with_label_values(&[standing.as_str()]).inc();
            if standing == Standing::New
                && let Some(segment) = &message.segment
            {
                context.metrics.log_bytes.inc_by(segment.plain_bytes);
                spills.count(&message.run_id, segment.frame.len() as u64);
            }
            if standing == Standing::Refused {
                tracing::error!(run = %message.run_id, "the events of a message overlap those that are stored; dead-lettering it");
                delivery.dead_letter().await;
            } else if standing.needs_seal() && message.end.is_some() {
                spills.forget(&message.run_id);
                // A sealer that is that far behind finds the run in the database.
                if let Err(TrySendError::Full(request)) =
                    to_sealer.try_send(SealRequest { run: message.run_id, delivery })
                {
                    request.delivery.ack().await;
                }
            } else {
                delivery.ack().await;
            }
        }
    }
    spills.write(context).await;
    ControlFlow::Continue(())
}

/// A message that cannot be decoded, or whose segment is not what it says, is dead-lettered.
async fn decode(context: &Context, delivery: Delivery) -> Option<Received> {
    let decoded = EventMessage::decode(&delivery.body).map_err(anyhow::Error::from).and_then(|message| {
        message.segment.as_ref().map_or(Ok(()), frame::check)?;
        Ok(message)
    });
    match decoded {
        Ok(message) => Some((delivery, message)),
        Err(error) => {
            let (bytes, about) = (delivery.body.len(), &delivery.about);
            tracing::error!(bytes, ?about, "cannot take an event message: {error:#}; dead-lettering it");
            context.metrics.messages.with_label_values(&["undecodable"]).inc();
            delivery.dead_letter().await;
            None
        }
    }
}

/// Stores the messages together; if the database refuses that, one by one, so that a bad message fails alone and is
/// dead-lettered. Waits for an absent database. Breaks when interrupted.
async fn store_all(
    context: &Context,
    messages: Vec<Received>,
    shutdown: &CancellationToken,
) -> ControlFlow<(), Vec<(Vec<Received>, Stored)>> {
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
        if !is_refused(&error) {
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
