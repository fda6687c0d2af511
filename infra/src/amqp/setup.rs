//! The first declaration of the queues, done by one client at a time and finished before any queue is used.
//!
//! RabbitMQ keeps the last registration of a quorum queue in memory for about a second (seen in 3.10.8: lost when
//! killed after 0.8 s, kept after 1.5 s). A broker that is killed meanwhile comes back with the queue's record, but the
//! queue never gets a leader: confirmed messages in it are gone, and its users wait forever. Registering another queue
//! saves the one before. So an unused queue, the marker, is declared last: where the marker exists, the broker has
//! every other queue for good.

use std::time::Duration;

use futures_util::future::try_join_all;
use lapin::options::{BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ErrorKind};

use super::Topology;

/// A queue with a leader answers within milliseconds, and within a second or two of a broker's start.
const LEADER_WITHIN: Duration = Duration::from_secs(5);
const LOCK_RETRY: Duration = Duration::from_millis(100);

/// Declares everything, and the marker, unless another client does so meanwhile. Takes a connection of its own, because
/// a channel that asked a queue without a leader hangs.
pub(super) async fn complete(topology: &Topology, connection: Connection) -> lapin::Result<()> {
    let lock = lock(topology, &connection).await?;
    if !is_complete(topology, &connection).await? {
        topology.declare(&lock).await?;
        try_join_all(topology.queues().into_iter().map(|queue| delete_if_leaderless(queue, &connection))).await?;
        topology.declare(&lock).await?;
        topology.declare_marker(&lock).await?;
    }
    lock.queue_delete(topology.lock().into(), QueueDeleteOptions::default()).await?;
    Ok(())
}

pub(super) async fn is_complete(topology: &Topology, connection: &Connection) -> lapin::Result<bool> {
    let channel = connection.create_channel().await?;
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    match channel.queue_declare(topology.marker().into(), options, FieldTable::default()).await {
        Ok(_) => Ok(true),
        Err(error) if is(&error, &AMQPSoftError::NOTFOUND) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Takes the lock: an exclusive queue, which belongs to one connection at a time and is deleted with it.
async fn lock(topology: &Topology, connection: &Connection) -> lapin::Result<Channel> {
    loop {
        let channel = connection.create_channel().await?;
        let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        match channel.queue_declare(topology.lock().into(), options, FieldTable::default()).await {
            Ok(_) => return Ok(channel),
            Err(error) if is(&error, &AMQPSoftError::RESOURCELOCKED) => tokio::time::sleep(LOCK_RETRY).await,
            Err(error) => return Err(error),
        }
    }
}

/// Without a marker, no client of this pool has used the queue yet, and a queue that other pools use answers. So a
/// queue that does not answer loses no confirmed message.
async fn delete_if_leaderless(queue: String, connection: &Connection) -> lapin::Result<()> {
    let channel = connection.create_channel().await?;
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let declared = channel.queue_declare(queue.as_str().into(), options, FieldTable::default()).await?;
    if declared.message_count() > 0 || declared.consumer_count() > 0 {
        return Ok(());
    }
    // If a message arrives after all, closing the channel returns it to its place.
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let consume =
        channel.basic_consume(queue.as_str().into(), "".into(), BasicConsumeOptions::default(), FieldTable::default());
    if let Ok(consumer) = tokio::time::timeout(LEADER_WITHIN, consume).await {
        consumer?;
        return channel.close(200, "it has a leader".into()).await;
    }
    tracing::warn!(
        queue,
        "this queue has no leader, because the broker was killed while it made the queue; making it again"
    );
    let channel = connection.create_channel().await?;
    channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.map(drop)
}

fn is(error: &lapin::Error, expected: &AMQPSoftError) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(error)
        if matches!(error.kind(), AMQPErrorKind::Soft(kind) if kind == expected))
}
