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
}

/// What to relay.
#[derive(Debug, Clone)]
pub struct Letter {
    pub target: Target,
    pub body: Bytes,
    pub traceparent: Option<String>,
}

impl Outbox {
    /// `schema` is a constant of the calling service, never input.
    pub fn new(schema: &'static str) -> Self {
        Self { schema, wake: Arc::new(Notify::new()) }
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
        let bodies: Vec<&[u8]> = letters.iter().map(|letter| letter.body.as_ref()).collect();
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
                () = self.wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    async fn relay_batch(&self, pool: &Pool, publisher: &Publisher) -> anyhow::Result<usize> {
        let mut client = pool.get().await?;
        let transaction = client.transaction().await?;
        // The deletion need not wait for the disk: losing it in a crash only sends the messages again.
        let sql = format!(
            "delete from {0}.outbox where id in (select id from {0}.outbox order by id limit $1 for update skip locked)
             returning id, exchange, routing_key, body, headers, set_config('synchronous_commit', 'off', true)",
            self.schema
        );
        let mut rows = transaction.query(&transaction.prepare_cached(&sql).await?, &[&BATCH]).await?;
        if rows.is_empty() {
            return Ok(0);
        }
        rows.sort_by_key(|row| row.get::<_, i64>("id"));
        let mut receipts = Vec::with_capacity(rows.len());
        for row in &rows {
            let letter = Letter {
                target: Target { exchange: row.get("exchange"), routing_key: row.get("routing_key") },
                body: Bytes::from(row.get::<_, Vec<u8>>("body")),
                traceparent: row.get::<_, serde_json::Value>("headers")["traceparent"].as_str().map(str::to_owned),
            };
            receipts.push((publisher.publish(letter.message()).await?, letter));
        }
        let mut unsent = Vec::new();
        for (receipt, letter) in receipts {
            if let Err(error) = receipt.confirmed().await {
                tracing::error!(schema = self.schema, queue = letter.target.routing_key, %error, "a message stays in the outbox");
                unsent.push(letter);
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

impl Letter {
    fn message(&self) -> Message {
        Message {
            target: self.target.clone(),
            body: self.body.clone(),
            content_type: "application/json",
            traceparent: self.traceparent.clone(),
        }
    }

    fn headers(&self) -> serde_json::Value {
        match &self.traceparent {
            Some(traceparent) => serde_json::json!({ "traceparent": traceparent }),
            None => serde_json::json!({}),
        }
    }
}
