//! Consuming with a credit that changes: as many subscriptions as it says, each for one unacknowledged message. (A prefetch
//! count cannot be changed once a consumer has it, and that of a canceled consumer does not count what it left.)

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream, SelectAll};
use lapin::message::Delivery as LapinDelivery;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::consumer::{Consumer, Delivery};
use super::session::Session;
use super::{Amqp, Source};

/// A subscription of one message at a time.
#[derive(Debug)]
pub(super) struct Subscription {
    session: Arc<Session>,
    tag: ShortString,
    /// Told when the message was answered, or dropped.
    answered: mpsc::UnboundedSender<ShortString>,
}

impl Subscription {
    /// Ends it. The message that it brought can still be answered.
    pub(super) async fn end(&self) -> lapin::Result<()> {
        self.session.channel.basic_cancel(self.tag.clone(), BasicCancelOptions::default()).await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // An error means that nobody subscribes any more.
        let _ = self.answered.send(self.tag.clone());
    }
}

impl Amqp {
    /// Consumes an unordered source with as many unacknowledged deliveries as `credit` says at the time. A delivery too
    /// many, which was on its way when the credit sank, is given back.
    pub fn consume_by_credit(&self, source: Source, credit: watch::Receiver<u16>) -> Consumer {
        Consumer::supervised(usize::from(u16::MAX), |deliveries, stop| {
            supervise(self.clone(), source, credit, deliveries, stop)
        })
    }
}

async fn supervise(
    amqp: Amqp,
    source: Source,
    mut credit: watch::Receiver<u16>,
    deliveries: mpsc::Sender<Delivery>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let session = tokio::select! {
            session = Session::open_patiently(&amqp, "consumer") => Arc::new(session),
            () = stop.cancelled() => return,
        };
        let forwarded = async {
            let mut subscriptions = Subscriptions::new(&amqp, source, session).await?;
            subscriptions.forward(&mut credit, &deliveries, &stop).await
        };
        if let Err(error) = forwarded.await {
            tracing::warn!(service = amqp.service, ?source, %error, "consuming was interrupted; reconnecting");
        }
    }
}

/// A message of a subscription, or its end.
type Arrival = (ShortString, Option<lapin::Result<LapinDelivery>>);

/// The subscriptions of one session.
struct Subscriptions {
    session: Arc<Session>,
    queue: ShortString,
    arrivals: SelectAll<BoxStream<'static, Arrival>>,
    /// The current ones, with the number of their unanswered messages.
    current: HashMap<ShortString, usize>,
    tell: mpsc::UnboundedSender<ShortString>,
    answered: mpsc::UnboundedReceiver<ShortString>,
}

impl Subscriptions {
    async fn new(amqp: &Amqp, source: Source, session: Arc<Session>) -> lapin::Result<Self> {
        session.channel.basic_qos(1, BasicQosOptions::default()).await?;
        let queue = amqp.topology.queue_of(source, &session.channel).await?;
        let (tell, answered) = mpsc::unbounded_channel();
        Ok(Self { session, queue, arrivals: SelectAll::new(), current: HashMap::new(), tell, answered })
    }

    /// Passes messages on until `stop` or the end of the session.
    async fn forward(
        &mut self,
        credit: &mut watch::Receiver<u16>,
        deliveries: &mpsc::Sender<Delivery>,
        stop: &CancellationToken,
    ) -> lapin::Result<()> {
        loop {
            let allowed = usize::from(*credit.borrow_and_update());
            self.adapt(allowed).await?;
            tokio::select! {
                Some((tag, arrived)) = self.arrivals.next() => match arrived {
                    Some(delivery) => self.pass_on(tag, delivery?, allowed, deliveries).await?,
                    // Canceled here, or by the broker with its queue; or the session is over.
                    None if self.session.channel.status().connected() => drop(self.current.remove(&tag)),
                    None => return Ok(()),
                },
                Some(tag) = self.answered.recv() => {
                    if let Some(unanswered) = self.current.get_mut(&tag) {
                        *unanswered = unanswered.saturating_sub(1);
                    }
                }
                changed = credit.changed() => if changed.is_err() { break },
                () = stop.cancelled() => break,
            }
        }
        let tags: Vec<ShortString> = self.current.drain().map(|(tag, _)| tag).collect();
        for tag in tags {
            self.cancel(tag).await?;
        }
        // Each subscription ends now, after what had arrived by it.
        while let Some((tag, arrived)) = self.arrivals.next().await {
            if let Some(delivery) = arrived {
                self.delivery(delivery?, tag).give_back().await;
            }
        }
        Ok(())
    }

    fn delivery(&self, delivery: LapinDelivery, tag: ShortString) -> Delivery {
        let subscription = Subscription { session: Arc::clone(&self.session), tag, answered: self.tell.clone() };
        Delivery::of(delivery, subscription)
    }

    /// Subscribes more often, or ends subscriptions that have no message.
    async fn adapt(&mut self, allowed: usize) -> lapin::Result<()> {
        while self.current.len() < allowed {
            let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
            let consumer =
                self.session.channel.basic_consume(self.queue.clone(), "".into(), options, arguments).await?;
            let tag = consumer.tag();
            let (of_message, of_end) = (tag.clone(), tag.clone());
            let messages = consumer.map(move |delivery| (of_message.clone(), Some(delivery)));
            self.arrivals.push(messages.chain(stream::once(async { (of_end, None) })).boxed());
            self.current.insert(tag, 0);
        }
        while self.current.len() > allowed {
            let idle = self.current.iter().find(|(_, unanswered)| **unanswered == 0).map(|(tag, _)| tag.clone());
            let Some(tag) = idle else { break };
            self.cancel(tag).await?;
        }
        Ok(())
    }

    async fn cancel(&mut self, tag: ShortString) -> lapin::Result<()> {
        self.current.remove(&tag);
        self.session.channel.basic_cancel(tag, BasicCancelOptions::default()).await
    }

    async fn pass_on(
        &mut self,
        tag: ShortString,
        delivery: LapinDelivery,
        allowed: usize,
        deliveries: &mpsc::Sender<Delivery>,
    ) -> lapin::Result<()> {
        let delivery = self.delivery(delivery, tag.clone());
        let is_too_much = self.current.len() > allowed;
        match self.current.get_mut(&tag) {
            Some(unanswered) if !is_too_much => {
                *unanswered += 1;
                // An error means that nobody listens: `stop` is next.
                let _ = deliveries.send(delivery).await;
            }
            found => {
                if found.is_some() {
                    self.cancel(tag).await?;
                }
                delivery.give_back().await;
            }
        }
        Ok(())
    }
}
