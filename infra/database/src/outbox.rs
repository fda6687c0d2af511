//! The transactional outbox: a message is inserted in the transaction that it tells about, and relayed after the
//! commit, at least once. Every service has its own table `<schema>.outbox`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use deadpool_postgres::GenericClient;
use infra::amqp::{About, Message, Publisher, Target};
use schemas::id::RunId;
use schemas::message::EventMessage;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_postgres::Row;
use tokio_util::sync::CancellationToken;

use crate::pool::Pool;
use crate::row::{DbError, json};

/// Maximum messages relayed in one transaction.
const GROUP: i64 = 256;
/// Interval at which the relay looks without being woken, to find what a crashed process left.
const POLL: Duration = Duration::from_millis(500);
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// One service's outbox. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbox {
    schema: &'static str,
    wake: Arc<Notify>,
}

/// A message on its way to the broker.
#[derive(Debug, Clone)]
pub struct OutboxMessage {
    pub target: Target,
    pub body: Bytes,
    pub content_type: ContentType,
    /// W3C trace context of the run that the message is about.
    pub traceparent: Option<String>,
    /// `None` in rows of an earlier version.
    pub run: Option<RunId>,
}

/// The form of a message's body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContentType {
    #[default]
    Json,
    /// An encoded `EventMessage`.
    Event,
}

/// The column `headers`. A message without a content type is JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Headers {
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<ContentType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<RunId>,
}

impl Outbox {
    /// `schema` is a constant of the calling service, never input.
    pub fn new(schema: &'static str) -> Self {
        Self { schema, wake: Arc::new(Notify::new()) }
    }

    /// Inserts within the caller's transaction; call `wake` after its commit.
    pub async fn insert(
        &self,
        client: &impl GenericClient,
        messages: &[OutboxMessage],
    ) -> Result<(), tokio_postgres::Error> {
        if messages.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "insert into {}.outbox (exchange, routing_key, body, headers)
             select * from unnest($1::text[], $2::text[], $3::bytea[], $4::jsonb[])",
            self.schema
        );
        let exchanges: Vec<&str> = messages.iter().map(|message| message.target.exchange.as_str()).collect();
        let keys: Vec<&str> = messages.iter().map(|message| message.target.routing_key.as_str()).collect();
        let bodies: Vec<&[u8]> = messages.iter().map(|message| message.body.as_ref()).collect();
        let headers: Vec<serde_json::Value> = messages.iter().map(OutboxMessage::headers).collect();
        client.execute(&client.prepare_cached(&sql).await?, &[&exchanges, &keys, &bodies, &headers]).await?;
        Ok(())
    }

    /// Relays at once what was just committed.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Relays until shutdown. Several processes may do so at once.
    pub async fn relay(&self, pool: &Pool, publisher: &Publisher, shutdown: &CancellationToken) {
        loop {
            let wait = match self.relay_group(pool, publisher).await {
                Ok(0) => POLL,
                // A full group: there may be more.
                Ok(sent) if i64::try_from(sent).is_ok_and(|sent| sent >= GROUP) => continue,
                Ok(_) => POLL,
                Err(error) => {
                    tracing::warn!(schema = self.schema, error = %format!("{error:#}"), "cannot relay the outbox; retrying");
                    RETRY_DELAY
                }
            };
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    async fn relay_group(&self, pool: &Pool, publisher: &Publisher) -> anyhow::Result<usize> {
        let mut client = pool.get().await?;
        let transaction = client.transaction().await?;
        // The deletion need not wait for the disk: losing it in a crash only sends the messages again.
        let sql = format!(
            "delete from {0}.outbox where id in (select id from {0}.outbox order by id limit $1 for update skip locked)
             returning id, exchange, routing_key, body, headers, set_config('synchronous_commit', 'off', true)",
            self.schema
        );
        let rows = transaction.query(&transaction.prepare_cached(&sql).await?, &[&GROUP]).await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let numbered = |row: &Row| Ok((row.try_get::<_, i64>("id")?, OutboxMessage::read(row)?));
        let mut messages = rows.iter().map(numbered).collect::<Result<Vec<_>, DbError>>()?;
        messages.sort_by_key(|(id, _)| *id);
        let mut receipts = Vec::with_capacity(messages.len());
        for (_, message) in messages {
            receipts.push((publisher.publish(message.to_amqp()).await?, message));
        }
        let mut unsent = Vec::new();
        for (receipt, message) in receipts {
            if let Err(error) = receipt.confirmed().await {
                let queue = &message.target.routing_key;
                tracing::error!(schema = self.schema, queue, %error, "a message stays in the outbox");
                unsent.push(message);
            }
        }
        // A queue that is missing now may be declared later.
        self.insert(&transaction, &unsent).await?;
        transaction.commit().await?;
        let sent = rows.len() - unsent.len();
        anyhow::ensure!(sent > 0, "none of {} messages could be routed", rows.len());
        Ok(sent)
    }
}

impl ContentType {
    fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Event => EventMessage::CONTENT_TYPE,
        }
    }
}

impl OutboxMessage {
    /// A message about this run. The encoders of bodies keep them within the bound of a message.
    pub fn json(target: Target, body: impl Into<Bytes>, run: &RunId, traceparent: Option<String>) -> Self {
        Self { target, body: body.into(), content_type: ContentType::Json, traceparent, run: Some(run.clone()) }
    }

    /// `body` is an encoded `EventMessage`.
    pub fn event(target: Target, body: impl Into<Bytes>, run: &RunId, traceparent: Option<String>) -> Self {
        Self { content_type: ContentType::Event, ..Self::json(target, body, run, traceparent) }
    }

    fn read(row: &Row) -> Result<Self, DbError> {
        let headers: Headers = json(row, "headers")?;
        Ok(Self {
            target: Target { exchange: row.try_get("exchange")?, routing_key: row.try_get("routing_key")? },
            body: Bytes::from(row.try_get::<_, Vec<u8>>("body")?),
            content_type: headers.content_type.unwrap_or_default(),
            traceparent: headers.traceparent,
            run: headers.run,
        })
    }

    fn headers(&self) -> serde_json::Value {
        let content_type = Some(self.content_type).filter(|content_type| *content_type != ContentType::Json);
        let headers = Headers { content_type, traceparent: self.traceparent.clone(), run: self.run.clone() };
        serde_json::to_value(headers).unwrap_or_default()
    }

    fn to_amqp(&self) -> Message {
        Message {
            target: self.target.clone(),
            body: self.body.clone(),
            content_type: self.content_type.as_str(),
            traceparent: self.traceparent.clone(),
            about: self.run.as_ref().map(About::run),
        }
    }
}
