//! Publishing with confirms: the broker confirms every message that `publish` accepted, in order, over any number of
//! reconnects. A reconnect sends all unconfirmed messages again, so a message may arrive twice.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Confirmation, PublisherConfirm};
use tokio::sync::{mpsc, oneshot};

use super::session::Session;
use super::{ATTEMPT, About, Amqp, RUN, TRACEPARENT, Target};
use crate::ops::Ready;

/// Maximum number of unconfirmed messages; further ones wait in `publish`.
const WINDOW: usize = 1024;
const QUEUE: usize = 256;
/// Pause after a refused message, before all unconfirmed messages are sent again.
const REFUSED_DELAY: Duration = Duration::from_millis(200);
/// Bytes of a message that the broker is given. A broker closes the channel on a message that is too large for it (16 MiB in
/// RabbitMQ 4), and so the messages before and after would never arrive. All messages of ours have lower bounds of their own.
pub const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;
/// `delivery-mode` of AMQP 0-9-1: survive a broker restart.
const PERSISTENT: u8 = 2;

#[derive(Debug, Clone)]
pub struct Message {
    pub target: Target,
    pub body: Bytes,
    pub content_type: &'static str,
    /// W3C trace context of the message's run.
    pub traceparent: Option<String>,
    pub about: Option<About>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    #[error("no queue accepts this message")]
    Unroutable,
    #[error("a message of {0} bytes, expected at most {MAX_BODY_BYTES}")]
    TooLarge(usize),
    #[error("the publisher has stopped")]
    Stopped,
}

struct Pending {
    message: Message,
    done: oneshot::Sender<Result<(), PublishError>>,
}

/// Resolves once the broker has the message safely.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<Result<(), PublishError>>);

impl Receipt {
    pub async fn confirmed(self) -> Result<(), PublishError> {
        self.0.await.unwrap_or(Err(PublishError::Stopped))
    }
}

/// A handle to one publishing connection, which closes when the last clone is dropped and all messages are confirmed.
#[derive(Debug, Clone)]
pub struct Publisher {
    sender: mpsc::Sender<Pending>,
    connected: Arc<AtomicBool>,
}

impl Amqp {
    pub fn publisher(&self) -> Publisher {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let connected = Arc::new(AtomicBool::new(false));
        tokio::spawn(supervise(self.clone(), receiver, Arc::clone(&connected)));
        Publisher { sender, connected }
    }
}

impl Publisher {
    /// Accepts the message; the order of calls is the order of delivery to one queue. The receipt tells of a message that is
    /// too large.
    pub async fn publish(&self, message: Message) -> Result<Receipt, PublishError> {
        let (done, receipt) = oneshot::channel();
        if message.body.len() > MAX_BODY_BYTES {
            let _ = done.send(Err(PublishError::TooLarge(message.body.len())));
            return Ok(Receipt(receipt));
        }
        self.sender.send(Pending { message, done }).await.map_err(|_| PublishError::Stopped)?;
        Ok(Receipt(receipt))
    }
}

impl Ready for Publisher {
    const NAME: &'static str = "rabbitmq";

    async fn ready(&self) -> Result<(), String> {
        if self.connected.load(Ordering::Relaxed) { Ok(()) } else { Err("not connected to the broker".to_owned()) }
    }
}

async fn supervise(amqp: Amqp, mut receiver: mpsc::Receiver<Pending>, connected: Arc<AtomicBool>) {
    let mut unconfirmed = VecDeque::new();
    loop {
        let session = Session::open_patiently(&amqp, "publisher").await;
        connected.store(true, Ordering::Relaxed);
        let ended = publish_all(&session, &mut receiver, &mut unconfirmed).await;
        connected.store(false, Ordering::Relaxed);
        match ended {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(service = amqp.service, %error, unconfirmed = unconfirmed.len(), "publishing was interrupted; reconnecting");
                tokio::time::sleep(REFUSED_DELAY).await;
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Interrupted {
    #[error("the broker refused a message")]
    Refused,
    #[error(transparent)]
    Broker(#[from] lapin::Error),
}

/// Publishes until every handle is dropped and all messages are confirmed.
async fn publish_all(
    session: &Session,
    receiver: &mut mpsc::Receiver<Pending>,
    unconfirmed: &mut VecDeque<Pending>,
) -> Result<(), Interrupted> {
    session.channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut confirms = FuturesOrdered::new();
    for pending in unconfirmed.iter() {
        confirms.push_back(send(session, &pending.message).await?);
    }
    let mut open = true;
    while open || !unconfirmed.is_empty() {
        tokio::select! {
            Some(confirmation) = confirms.next() => {
                let outcome = match confirmation? {
                    Confirmation::Ack(None) | Confirmation::NotRequested => Ok(()),
                    Confirmation::Ack(Some(_)) => Err(PublishError::Unroutable),
                    Confirmation::Nack(_) => return Err(Interrupted::Refused),
                };
                if let Some(pending) = unconfirmed.pop_front() {
                    // The caller may have dropped its receipt.
                    let _ = pending.done.send(outcome);
                }
            }
            received = receiver.recv(), if open && unconfirmed.len() < WINDOW => match received {
                Some(pending) => {
                    unconfirmed.push_back(pending);
                    if let Some(pending) = unconfirmed.back() {
                        confirms.push_back(send(session, &pending.message).await?);
                    }
                }
                None => open = false,
            },
        }
    }
    Ok(())
}

async fn send(session: &Session, message: &Message) -> lapin::Result<PublisherConfirm> {
    let mut properties =
        BasicProperties::default().with_delivery_mode(PERSISTENT).with_content_type(message.content_type.into());
    let run = message.about.as_ref().map(|about| about.run.to_string());
    let attempt = message.about.as_ref().and_then(|about| about.attempt).map(|attempt| attempt.to_string());
    let mut headers = FieldTable::default();
    for (name, value) in [(TRACEPARENT, message.traceparent.clone()), (RUN, run), (ATTEMPT, attempt)] {
        if let Some(value) = value {
            headers.insert(name.into(), AMQPValue::LongString(value.as_str().into()));
        }
    }
    properties = properties.with_headers(headers);
    let options = BasicPublishOptions { mandatory: message.target.must_be_routed(), ..BasicPublishOptions::default() };
    let (exchange, key) = (message.target.exchange.as_str().into(), message.target.routing_key.as_str().into());
    session.channel.basic_publish(exchange, key, options, &message.body, properties).await
}
