//! Every queue and exchange, declared in one place. All queues are quorum queues, except the private (exclusive) ones
//! that carry hints.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, ExchangeKind};
use schemas::id::RunId;
use schemas::message::partition::{self, EVENT_PARTITIONS};

/// Deliveries of one message before it is dead-lettered. Runs count their attempts themselves (see the claim), so this
/// limit only catches messages that kill their handler.
const DELIVERY_LIMIT: i32 = 20;

/// Bounds of the queue of parked letters: beyond either, the oldest go.
const PARKED_LETTERS: i32 = 10_000;
const PARKED_BYTES: i32 = 256 << 20;

/// Names of the queues and exchanges.
#[derive(Debug, Clone)]
pub struct Topology {
    prefix: String,
    pool: String,
}

/// Destination of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub exchange: String,
    pub routing_key: String,
}

impl Target {
    /// True for all targets but fan-outs: a fan-out carries hints, which may have no listener.
    pub(super) fn must_be_routed(&self) -> bool {
        self.exchange.is_empty()
    }
}

/// Source to consume from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Jobs,
    Events(u32),
    Usage,
    Dead,
    /// News for live streams; a private queue of this consumer.
    Live,
    /// Runs that executors should stop; a private queue of this consumer.
    Control,
}

impl Source {
    /// True if the source has one consumer at a time, which handles messages in their order.
    pub(super) fn is_ordered(self) -> bool {
        matches!(self, Self::Events(_))
    }
}

impl Topology {
    pub fn new(prefix: &str, pool: &str) -> Self {
        Self { prefix: prefix.to_owned(), pool: pool.to_owned() }
    }

    fn fanout(&self, name: &str) -> Target {
        Target { exchange: format!("{}.{name}", self.prefix), routing_key: String::new() }
    }

    pub fn jobs(&self) -> Target {
        queue(format!("{}.jobs.{}", self.prefix, self.pool))
    }

    /// The queue that carries all events of one run.
    pub fn events_of(&self, run: &RunId) -> Target {
        queue(self.events_queue(partition::of_run(run)))
    }

    fn events_queue(&self, partition: u32) -> String {
        format!("{}.events.{partition}", self.prefix)
    }

    pub fn usage(&self) -> Target {
        queue(format!("{}.usage", self.prefix))
    }

    pub fn dead(&self) -> Target {
        queue(format!("{}.dead", self.prefix))
    }

    /// Dead letters that nothing can be done about, for operators.
    pub fn parked(&self) -> Target {
        queue(format!("{}.parked", self.prefix))
    }

    pub fn live(&self) -> Target {
        self.fanout("live")
    }

    pub fn control(&self) -> Target {
        self.fanout("control")
    }

    /// Name of the marker: an unused queue, declared after everything else; see `setup`.
    pub(super) fn marker(&self) -> String {
        format!("{}.declared.{}", self.prefix, self.pool)
    }

    /// Name of the lock that the first declaring client holds; see `setup`.
    pub(super) fn lock(&self) -> String {
        format!("{}.declaring", self.prefix)
    }

    /// All durable queues in use.
    pub fn queues(&self) -> Vec<String> {
        let named = [self.jobs(), self.usage(), self.dead(), self.parked()];
        let mut names: Vec<String> = named.into_iter().map(|target| target.routing_key).collect();
        names.extend((0..EVENT_PARTITIONS).map(|partition| self.events_queue(partition)));
        names
    }

    /// Declares everything durable. Repeated declarations change nothing.
    pub(super) async fn declare(&self, channel: &Channel) -> lapin::Result<()> {
        for fanout in [self.live(), self.control()] {
            let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
            let (name, kind) = (fanout.exchange.into(), ExchangeKind::Fanout);
            channel.exchange_declare(name, kind, options, FieldTable::default()).await?;
        }
        let (dead, parked) = (self.dead().routing_key, self.parked().routing_key);
        for name in self.queues() {
            let mut arguments = FieldTable::default();
            insert_text(&mut arguments, "x-queue-type", "quorum");
            if name == dead {
                // A dead letter stays until its run is ended, or until it is parked.
            } else if name == parked {
                arguments.insert("x-max-length".into(), AMQPValue::LongInt(PARKED_LETTERS));
                arguments.insert("x-max-length-bytes".into(), AMQPValue::LongInt(PARKED_BYTES));
            } else {
                arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERY_LIMIT));
                insert_text(&mut arguments, "x-dead-letter-exchange", "");
                insert_text(&mut arguments, "x-dead-letter-routing-key", &dead);
                // At-least-once dead-lettering requires that a full queue refuses messages instead of dropping them.
                insert_text(&mut arguments, "x-dead-letter-strategy", "at-least-once");
                insert_text(&mut arguments, "x-overflow", "reject-publish");
            }
            if name.starts_with(&format!("{}.events.", self.prefix)) {
                // One collector at a time for each partition keeps the order; another one takes over when the first is
                // gone.
                arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
            }
            let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
            channel.queue_declare(name.into(), options, arguments).await?;
        }
        Ok(())
    }

    pub(super) async fn declare_marker(&self, channel: &Channel) -> lapin::Result<()> {
        let mut arguments = FieldTable::default();
        insert_text(&mut arguments, "x-queue-type", "quorum");
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(self.marker().into(), options, arguments).await.map(drop)
    }

    /// The queue of a source; private queues are declared here.
    pub(super) async fn queue_of(&self, source: Source, channel: &Channel) -> lapin::Result<ShortString> {
        let fanout = match source {
            Source::Jobs => return Ok(self.jobs().routing_key.into()),
            Source::Events(partition) => return Ok(self.events_queue(partition).into()),
            Source::Usage => return Ok(self.usage().routing_key.into()),
            Source::Dead => return Ok(self.dead().routing_key.into()),
            Source::Live => self.live(),
            Source::Control => self.control(),
        };
        let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare("".into(), options, FieldTable::default()).await?;
        let name = queue.name().clone();
        let options = QueueBindOptions::default();
        channel.queue_bind(name.clone(), fanout.exchange.into(), "".into(), options, FieldTable::default()).await?;
        Ok(name)
    }
}

/// Targets one queue: the default exchange routes to the queue of this name.
fn queue(name: String) -> Target {
    Target { exchange: String::new(), routing_key: name }
}

fn insert_text(table: &mut FieldTable, name: &'static str, value: &str) {
    table.insert(name.into(), AMQPValue::LongString(value.into()));
}
