//! Queues that are seconds old, and a broker that is killed: no confirmed message is lost, and no client waits for the
//! broker forever.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use infra::amqp::{Amqp, AmqpConfig, AmqpNames, Message, Source, Target};
use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ConnectionProperties};
use local::{Durability, RabbitMq};
use schemas::message::partition::EVENT_PARTITIONS;
use tempfile::TempDir;
use tokio::time::timeout;

type Error = Box<dyn std::error::Error>;

const PATIENCE: Duration = Duration::from_secs(90);

#[tokio::test]
async fn a_message_confirmed_in_a_new_queue_outlives_the_broker() -> Result<(), Error> {
    let (_dir, mut broker) = start().await?;
    let amqp = amqp(&broker);
    let publisher = amqp.publisher();
    let queues = amqp.topology.queues();
    let mut receipts = Vec::new();
    for queue in &queues {
        receipts.push(publisher.publish(to(queue)).await?);
    }
    for receipt in receipts {
        timeout(PATIENCE, receipt.confirmed()).await??;
    }

    broker.kill().await?;
    broker.start_again().await?;

    let events = (0..EVENT_PARTITIONS).map(Source::Events);
    for source in [Source::Jobs, Source::Usage, Source::Dead].into_iter().chain(events) {
        let delivery = timeout(PATIENCE, amqp.consume(source, 10).next()).await;
        let delivery = delivery.map_err(|_| format!("the message of {source:?} is gone"))?.ok_or("a delivery")?;
        delivery.ack().await;
    }
    broker.stop().await?;
    Ok(())
}

/// Two clients at once find a queue whose maker, and the broker, died before it was registered for good.
#[tokio::test]
async fn a_queue_that_lost_its_leader_while_it_was_made_is_made_again() -> Result<(), Error> {
    let (_dir, mut broker) = start().await?;
    let amqp = amqp(&broker);
    // The queue that `Topology` declares last.
    let queue = amqp.topology.queues().pop().ok_or("a queue")?;
    let connection = Connection::connect(broker.url().reveal(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let mut arguments = FieldTable::default();
    for (name, value) in [
        ("x-queue-type", "quorum"),
        ("x-dead-letter-exchange", ""),
        ("x-dead-letter-routing-key", "t.dead"),
        ("x-dead-letter-strategy", "at-least-once"),
        ("x-overflow", "reject-publish"),
    ] {
        arguments.insert(name.into(), AMQPValue::LongString(value.into()));
    }
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(20));
    arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.as_str().into(), options, arguments).await?;
    broker.kill().await?;
    drop((channel, connection));
    broker.start_again().await?;

    let mut consumer = amqp.consume(Source::Events(EVENT_PARTITIONS - 1), 10);
    let publisher = amqp.publisher();
    timeout(PATIENCE, publisher.publish(to(&queue)).await?.confirmed()).await??;
    let delivery = timeout(PATIENCE, consumer.next()).await?.ok_or("a delivery")?;
    assert_eq!(&delivery.body[..], b"hello");
    delivery.ack().await;
    broker.stop().await?;
    Ok(())
}

async fn start() -> Result<(TempDir, RabbitMq), Error> {
    let dir = TempDir::new()?;
    // The broker runs as a user of its own.
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755))?;
    let broker = RabbitMq::start(&dir.path().join("rabbitmq"), Durability::Durable).await?;
    Ok((dir, broker))
}

fn amqp(broker: &RabbitMq) -> Amqp {
    let names = AmqpNames { amqp_prefix: "t".to_owned(), pool: "default".to_owned() };
    let config = AmqpConfig { amqp_url: broker.url(), names };
    Amqp::new(&config, "test")
}

fn to(queue: &str) -> Message {
    let target = Target { exchange: String::new(), routing_key: queue.to_owned() };
    Message { target, body: "hello".into(), content_type: "text/plain", traceparent: None, about: None }
}
