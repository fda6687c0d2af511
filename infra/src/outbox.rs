//! The transactional outbox: a message is inserted in the transaction that it tells about, and relayed after the
//! commit, at least once. Every service has its own table `<schema>.outbox`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use deadpool_postgres::{GenericClient, Pool};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::amqp::{Message, Publisher, Target};

/// Messages relayed in one transaction.
const BATCH: i64 = 256;
/// How often to look without being woken: finds what a crashed process left.
const POLL: Duration = Duration::from_millis(500);
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// One service's outbox. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbox {
    schema: &'static str,
    wake: Arc<Notify>,
    linger: Duration,
}

/// What to relay.
#[derive(Debug, Clone)]
pub struct Letter {
    pub target: Target,
    pub body: Vec<u8>,
    pub traceparent: Option<String>,
}

impl Outbox {
    /// `schema` is a constant of the calling service, never input.
    pub fn new(schema: &'static str) -> Self {
        Self { schema, wake: Arc::new(Notify::new()), linger: Duration::ZERO }
    }

    /// Waits so long after being woken, to relay more at a time. For what is not urgent.
    pub fn lingering(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Inserts within the caller's transaction; call `wake` after its commit.
    pub async fn insert(&self, client: &impl GenericClient, letters: &[Letter]) -> Result<(), tokio_postgres::Error> {
        if letters.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "insert into {}.outbox (exchange, routing_key, body, headers)
             select * from unnest($1::text[], $2::text[], $3::bytea[], $4::jsonb[])",
            self.schema
        );
        let exchanges: Vec<&str> = letters.iter().map(|letter| letter.target.exchange.as_str()).collect();
        let keys: Vec<&str> = letters.iter().map(|letter| letter.target.routing_key.as_str()).collect();
        let bodies: Vec<&[u8]> = letters.iter().map(|letter| letter.body.as_slice()).collect();
        let headers: Vec<serde_json::Value> = letters.iter().map(Letter::headers).collect();
        client.execute(&client.prepare_cached(&sql).await?, &[&exchanges, &keys, &bodies, &headers]).await?;
        Ok(())
    }

    /// Something was committed: relay it now.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Relays until shutdown. Several processes may do so at once.
    pub async fn relay(&self, pool: &Pool, publisher: &Publisher, shutdown: &CancellationToken) {
        loop {
            let wait = match self.relay_batch(pool, publisher).await {
                Ok(0) => POLL,
                // A full batch: there may be more.
                Ok(sent) if i64::try_from(sent).is_ok_and(|sent| sent >= BATCH) => continue,
                Ok(_) => POLL,
                Err(error) => {
                    tracing::warn!(schema = self.schema, error = %format!("{error:#}"), "the outbox could not be relayed");
                    RETRY_DELAY
                }
            };
            tokio::select! {
                () = self.wake.notified() => tokio::time::sleep(self.linger).await,
                () = tokio::time::sleep(wait) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    async fn relay_batch(&self, pool: &Pool, publisher: &Publisher) -> anyhow::Result<usize> {
        let mut client = pool.get().await?;
        let transaction = client.transaction().await?;
        let sql = format!(
            "select id, exchange, routing_key, body, headers, set_config('synchronous_commit', 'off', true)
             from (select * from {}.outbox order by id limit $1 for update skip locked) as letters order by id",
            self.schema
        );
        // The deletion below need not wait for the disk: losing it in a crash only sends the messages again.
        let rows = transaction.query(&transaction.prepare_cached(&sql).await?, &[&BATCH]).await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let mut receipts = Vec::with_capacity(rows.len());
        for row in &rows {
            let headers: serde_json::Value = row.get("headers");
            let message = Message {
                target: Target { exchange: row.get("exchange"), routing_key: row.get("routing_key") },
                body: Bytes::from(row.get::<_, Vec<u8>>("body")),
                content_type: "application/json",
                traceparent: headers["traceparent"].as_str().map(str::to_owned),
            };
            receipts.push((row.get::<_, i64>("id"), publisher.publish(message).await?));
        }
        let mut sent = Vec::with_capacity(receipts.len());
        for (id, receipt) in receipts {
            match receipt.confirmed().await {
                Ok(()) => sent.push(id),
                // It stays in the outbox: a queue that is missing now may be declared later.
                Err(error) => tracing::error!(schema = self.schema, id, %error, "a message stays in the outbox"),
            }
        }
        let sql = format!("delete from {}.outbox where id = any($1)", self.schema);
        transaction.execute(&transaction.prepare_cached(&sql).await?, &[&sent]).await?;
        transaction.commit().await?;
        anyhow::ensure!(!sent.is_empty(), "none of {} messages could be routed", rows.len());
        Ok(sent.len())
    }
}

impl Letter {
    fn headers(&self) -> serde_json::Value {
        match &self.traceparent {
            Some(traceparent) => serde_json::json!({ "traceparent": traceparent }),
            None => serde_json::json!({}),
        }
    }
}
