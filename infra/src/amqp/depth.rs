//! Number of messages in each durable queue, for metrics.

use std::time::Duration;

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;

use super::Amqp;
use super::session::{ConnectError, Session};

/// Timeout of the answers for all queues together.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// One queue as the broker sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueDepth {
    pub queue: String,
    /// Messages ready for delivery; unacknowledged messages at a consumer are not counted.
    pub messages: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum DepthError {
    #[error("no answer from the broker within {} s", ANSWER_TIMEOUT.as_secs())]
    Timeout,
    #[error("the broker cannot be reached: {0}")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Broker(#[from] lapin::Error),
}

/// Reader of queue depths, with a connection of its own that it keeps: a failed question must not disturb publishing or
/// consuming.
#[derive(Debug)]
pub struct QueueDepths {
    amqp: Amqp,
    session: Option<Session>,
}

impl Amqp {
    /// Prepares a reader; it connects at the first question.
    pub fn queue_depths(&self) -> QueueDepths {
        QueueDepths { amqp: self.clone(), session: None }
    }
}

impl QueueDepths {
    /// Asks for every queue of the topology, by passive declaration. After a failure the next call connects again.
    pub async fn read(&mut self) -> Result<Vec<QueueDepth>, DepthError> {
        // The session is taken out, so that a failed or dropped call leaves no half-used session behind.
        let session = match self.session.take() {
            Some(session) => session,
            None => Session::open(&self.amqp, "queue depths").await.map_err(connect)?,
        };
        let depths = tokio::time::timeout(ANSWER_TIMEOUT, ask(&self.amqp, &session)).await;
        let depths = depths.map_err(|_| DepthError::Timeout)??;
        self.session = Some(session);
        Ok(depths)
    }
}

fn connect(error: ConnectError) -> DepthError {
    DepthError::Connect(error.into())
}

async fn ask(amqp: &Amqp, session: &Session) -> lapin::Result<Vec<QueueDepth>> {
    let mut depths = Vec::new();
    for queue in amqp.topology.queues() {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let declared = session.channel.queue_declare(queue.as_str().into(), options, FieldTable::default()).await?;
        depths.push(QueueDepth { queue, messages: declared.message_count() });
    }
    Ok(depths)
}
