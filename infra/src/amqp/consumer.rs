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

use super::session::Session;
use super::{Amqp, Source, TRACEPARENT};

/// Interval at which a stopping consumer checks for unanswered deliveries.
const ANSWER_POLL: Duration = Duration::from_millis(10);

/// One delivery. Dropping it unanswered leaves it to the broker, which delivers it again once this session is gone.
#[derive(Debug)]
pub struct Delivery {
    pub body: Bytes,
    /// The message was delivered before, to a consumer that did not acknowledge it.
    pub redelivered: bool,
    pub traceparent: Option<String>,
    /// The queue that a dead letter comes from.
    pub dead_from: Option<String>,
    inner: LapinDelivery,
    /// Keeps the connection open as long as there is something to answer.
    _session: Arc<Session>,
}

/// Dropping a consumer stops it; its deliveries may still be acknowledged. Whoever must see messages in order ends it
/// with [`finish`](Self::finish).
#[derive(Debug)]
pub struct Consumer {
    /// Dropped first: nobody reconnects because nobody listens.
    stop: tokio_util::sync::DropGuard,
    deliveries: mpsc::Receiver<Delivery>,
    supervisor: JoinHandle<()>,
}

impl Amqp {
    /// Consumes with at most `prefetch` unacknowledged deliveries, which bounds concurrency.
    pub fn consume(&self, source: Source, prefetch: u16) -> Consumer {
        let (sender, deliveries) = mpsc::channel(usize::from(prefetch).max(1));
        let stop = CancellationToken::new();
        let supervisor = tokio::spawn(supervise(self.clone(), source, prefetch, sender, stop.clone()));
        Consumer { stop: stop.drop_guard(), deliveries, supervisor }
    }
}

impl Consumer {
    /// Waits for the next delivery, however long it takes; a lost connection is made again behind this call.
    pub async fn next(&mut self) -> Option<Delivery> {
        self.deliveries.recv().await
    }

    /// Stops once every delivery was answered or dropped. Unanswered deliveries and the queue then pass to somebody else
    /// in one step. A process that ends before that may hand the queue over first.
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
    /// Acknowledges the message. A lost connection is not an error: the message comes again, and handlers are idempotent.
    pub async fn ack(&self) {
        if let Err(error) = self.inner.acker.ack(BasicAckOptions::default()).await {
            tracing::debug!(%error, "an acknowledgement was lost");
        }
    }

    /// Sends the message to the dead-letter queue: it can never be handled.
    pub async fn dead_letter(&self) {
        let options = BasicNackOptions { requeue: false, ..BasicNackOptions::default() };
        if let Err(error) = self.inner.acker.nack(options).await {
            tracing::debug!(%error, "a rejection was lost");
        }
    }

    /// Gives the message back, for another consumer.
    pub async fn give_back(&self) {
        let options = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
        if let Err(error) = self.inner.acker.nack(options).await {
            tracing::debug!(%error, "a returned delivery was lost");
        }
    }

    fn new(mut inner: LapinDelivery, session: Arc<Session>) -> Self {
        let header = |name: &str| {
            let table = inner.properties.headers().as_ref()?;
            match table.inner().get(name)? {
                AMQPValue::LongString(text) => Some(text.to_string()),
                AMQPValue::ShortString(text) => Some(text.to_string()),
                _ => None,
            }
        };
        let (traceparent, dead_from) = (header(TRACEPARENT), header("x-first-death-queue"));
        let body = Bytes::from(std::mem::take(&mut inner.data));
        Self { body, redelivered: inner.redelivered, traceparent, dead_from, inner, _session: session }
    }
}

async fn supervise(amqp: Amqp, source: Source, prefetch: u16, sender: mpsc::Sender<Delivery>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let session = tokio::select! {
            session = Session::open_patiently(&amqp, "consumer") => Arc::new(session),
            () = stop.cancelled() => return,
        };
        if let Err(error) = forward(&amqp, source, prefetch, &session, &sender, &stop).await {
            tracing::warn!(service = amqp.service, ?source, %error, "cannot consume; reconnecting");
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
        if sender.send(Delivery::new(delivery?, Arc::clone(session))).await.is_err() {
            break;
        }
    }
    if source.is_ordered() {
        return hold_until_answered(session).await;
    }
    channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await
}

/// Cancelling would hand the queue to the next consumer at once, which would get later messages before those that are in
/// work here are answered or come again. Closing the channel gives back what is unanswered and the queue in one step.
async fn hold_until_answered(session: &Arc<Session>) -> lapin::Result<()> {
    while Arc::strong_count(session) > 1 {
        tokio::time::sleep(ANSWER_POLL).await;
    }
    session.channel.close(200, "done".into()).await
}
