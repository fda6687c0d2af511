//! Consuming: a stream of deliveries that survives reconnects. Unacknowledged messages are delivered again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use lapin::message::Delivery as LapinDelivery;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::credit::Subscription;
use super::session::Session;
use super::{ATTEMPT, About, Amqp, RUN, Source, TRACEPARENT};

/// Interval at which a stopping consumer checks that every delivery was answered.
const ANSWER_POLL: Duration = Duration::from_millis(10);

/// One delivery. The broker redelivers a delivery that was dropped unanswered, once this session is gone.
#[derive(Debug)]
pub struct Delivery {
    pub body: Bytes,
    /// True if the message was delivered before and not acknowledged.
    pub redelivered: bool,
    pub traceparent: Option<String>,
    /// The run that the publisher named, whatever the body is.
    pub about: Option<About>,
    /// Queue that a dead letter was in before.
    pub dead_from: Option<String>,
    inner: LapinDelivery,
    hold: Hold,
}

/// Keeps the connection open while there is a delivery to answer.
#[derive(Debug)]
enum Hold {
    Session { _session: Arc<Session> },
    Subscription(Subscription),
}

/// Consumption of one source. Dropping a consumer stops it; its deliveries may still be acknowledged. A caller that
/// needs messages in order ends it with [`finish`](Self::finish).
#[derive(Debug)]
pub struct Consumer {
    /// Dropped first, so that the lack of a listener does not cause a reconnect.
    stop: tokio_util::sync::DropGuard,
    deliveries: mpsc::Receiver<Delivery>,
    supervisor: JoinHandle<()>,
}

impl Amqp {
    /// Consumes with at most `prefetch` unacknowledged deliveries, which bounds concurrency.
    pub fn consume(&self, source: Source, prefetch: u16) -> Consumer {
        let most = usize::from(prefetch).max(1);
        Consumer::supervised(most, |sender, stop| supervise(self.clone(), source, prefetch, sender, stop))
    }
}

impl Consumer {
    /// A consumer of what `supervise` sends, until its token is canceled.
    pub(super) fn supervised<F>(
        most: usize,
        supervise: impl FnOnce(mpsc::Sender<Delivery>, CancellationToken) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, deliveries) = mpsc::channel(most);
        let stop = CancellationToken::new();
        let supervisor = tokio::spawn(supervise(sender, stop.clone()));
        Self { stop: stop.drop_guard(), deliveries, supervisor }
    }

    /// Waits for the next delivery, however long it takes; a lost connection is restored meanwhile.
    pub async fn next(&mut self) -> Option<Delivery> {
        self.deliveries.recv().await
    }

    /// Stops once every delivery was answered or dropped; then unanswered deliveries and the queue go to another
    /// consumer in one step. A process that ends earlier may hand the queue over first.
    pub async fn finish(self) {
        drop((self.stop, self.deliveries));
        let _ = self.supervisor.await;
    }

    /// Returns a delivery that has already arrived.
    pub fn try_next(&mut self) -> Option<Delivery> {
        self.deliveries.try_recv().ok()
    }
}

impl Delivery {
    /// Acknowledges the message. A lost connection is not an error here: the message is delivered again, and handlers
    /// are idempotent.
    pub async fn ack(&self) {
        if let Err(error) = self.inner.acker.ack(BasicAckOptions::default()).await {
            tracing::debug!(%error, "cannot acknowledge a message; it will be delivered again");
        }
    }

    /// Acknowledges a message that came [by credit](Amqp::consume_by_credit), such that no other comes in its place: the
    /// credit must have been lowered before.
    pub async fn ack_in_exchange(&self) {
        if let Hold::Subscription(subscription) = &self.hold
            && let Err(error) = subscription.end().await
        {
            tracing::debug!(%error, "cannot end a subscription; it has ended with its connection");
        }
        self.ack().await;
    }

    /// Sends a message that can never be handled to the dead-letter queue.
    pub async fn dead_letter(&self) {
        let options = BasicNackOptions { requeue: false, ..BasicNackOptions::default() };
        if let Err(error) = self.inner.acker.nack(options).await {
            tracing::debug!(%error, "cannot dead-letter a message; it will be delivered again");
        }
    }

    /// Returns the message to its queue, for another consumer.
    pub async fn give_back(&self) {
        let options = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
        if let Err(error) = self.inner.acker.nack(options).await {
            tracing::debug!(%error, "cannot return a message; it will be delivered again");
        }
    }

    pub(super) fn of(inner: LapinDelivery, subscription: Subscription) -> Self {
        Self::new(inner, Hold::Subscription(subscription))
    }

    fn new(mut inner: LapinDelivery, hold: Hold) -> Self {
        let header = |name: &str| {
            let table = inner.properties.headers().as_ref()?;
            match table.inner().get(name)? {
                AMQPValue::LongString(text) => Some(text.to_string()),
                AMQPValue::ShortString(text) => Some(text.to_string()),
                _ => None,
            }
        };
        let (traceparent, dead_from) = (header(TRACEPARENT), header("x-first-death-queue"));
        let attempt = header(ATTEMPT).and_then(|attempt| attempt.parse().ok());
        let about = header(RUN).and_then(|run| run.parse().ok()).map(|run| About { run, attempt });
        let body = Bytes::from(std::mem::take(&mut inner.data));
        Self { body, redelivered: inner.redelivered, traceparent, about, dead_from, inner, hold }
    }
}

async fn supervise(amqp: Amqp, source: Source, prefetch: u16, sender: mpsc::Sender<Delivery>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let session = tokio::select! {
            session = Session::open_patiently(&amqp, "consumer") => Arc::new(session),
            () = stop.cancelled() => return,
        };
        if let Err(error) = forward(&amqp, source, prefetch, &session, &sender, &stop).await {
            tracing::warn!(service = amqp.service, ?source, %error, "consuming was interrupted; reconnecting");
        }
    }
}

async fn forward(
    amqp: &Amqp,
    source: Source,
    prefetch: u16,
    session: &Arc<Session>,
    sender: &mpsc::Sender<Delivery>,
    stop: &CancellationToken,
) -> lapin::Result<()> {
    let channel = &session.channel;
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    let queue = amqp.topology.queue_of(source, channel).await?;
    let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut consumer = channel.basic_consume(queue, "".into(), options, arguments).await?;
    loop {
        let delivery = tokio::select! {
            delivery = consumer.next() => delivery,
            () = stop.cancelled() => break,
        };
        let Some(delivery) = delivery else { return Ok(()) };
        let hold = Hold::Session { _session: Arc::clone(session) };
        if sender.send(Delivery::new(delivery?, hold)).await.is_err() {
            break;
        }
    }
    if source.is_ordered() {
        return hold_until_answered(session).await;
    }
    channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await
}

/// Cancelling would hand the queue to the next consumer at once, which would get later messages before this consumer's
/// unfinished ones are answered or delivered again. Closing the channel returns unanswered messages and hands over the
/// queue in one step.
async fn hold_until_answered(session: &Arc<Session>) -> lapin::Result<()> {
    while Arc::strong_count(session) > 1 {
        tokio::time::sleep(ANSWER_POLL).await;
    }
    session.channel.close(200, "done".into()).await
}
