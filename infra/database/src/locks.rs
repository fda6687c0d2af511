//! The registry of PostgreSQL's advisory locks, and leadership by one of them. No other file makes up a lock number.
//!
//! Locks that SQL functions take, listed here so that nobody takes their numbers (the test below finds each in `migrations/`):
//! 7401, seed of a hash: one organization's slots (`metering.lock_organization`) · 7403: deletions against legal holds · 7404:
//! changes of holds in the store. Ingest hashes into the 64-bit space: `template <slug>`, `template object <key>`, and the scope of an
//! `Idempotency-Key`. The tests' harness takes 7402.

use std::time::Duration;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use crate::pool::{PostgresConfig, open};
use crate::{Client, GenericClient};

/// A lock of a whole database, held by one session at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock(pub(crate) i64);

/// Held while the schema is migrated.
pub const MIGRATION: Lock = Lock(0x6372_6f77_6e65_7374);
/// Held by the collector that writes the evidence log.
pub const EVIDENCE_LOG: Lock = Lock(0x7472_616e_7370_6172);
/// Held by the collector that writes the tables.
pub const TABLES: Lock = Lock(0x7061_7271_7565_7473);

/// Interval at which a follower asks whether the leader is gone.
const INTERVAL: Duration = Duration::from_secs(1);

/// Waits for the lock, then leads with the session that holds it, until `lead` ends or `shutdown`.
///
/// The session is of this call alone: it ends with the call, and the lock with it. A leader that has lost its session can
/// therefore write nothing that needs it; `lead` must do its writes through the client that it is given.
pub async fn while_leader<F, Lead>(
    postgres: &PostgresConfig,
    lock: Lock,
    shutdown: &CancellationToken,
    lead: F,
) -> anyhow::Result<()>
where
    F: FnOnce(Client) -> Lead,
    Lead: Future<Output = anyhow::Result<()>>,
{
    let elected = async {
        let pool = open(&PostgresConfig { database_pool: 1, ..postgres.clone() })?;
        let client = pool.get().await.context("no database connection")?;
        while !try_lock(&client, lock).await? {
            tokio::time::sleep(INTERVAL).await;
        }
        lead(client).await
    };
    tokio::select! {
        ended = elected => ended,
        () = shutdown.cancelled() => Ok(()),
    }
}

async fn try_lock(client: &Client, lock: Lock) -> Result<bool, crate::Error> {
    client.query_one("select pg_try_advisory_lock($1)", &[&lock.0]).await?.try_get(0)
}

#[cfg(test)]
mod tests {
    /// The numbers that the documentation above says are taken.
    const IN_SQL: [&str; 3] = ["7401", "7403", "7404"];

    #[test]
    fn every_lock_of_the_migrations_is_registered() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
        let mut found = std::collections::BTreeSet::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let sql = std::fs::read_to_string(file.unwrap().path()).unwrap();
            for call in sql.split("pg_advisory_xact_lock").skip(1) {
                let call = &call[..call.find(';').unwrap_or(call.len())];
                let number = IN_SQL.iter().find(|number| call.contains(*number));
                found.insert(
                    *number.unwrap_or_else(|| panic!("a lock that is not registered: pg_advisory_xact_lock{call}")),
                );
            }
        }
        assert_eq!(Vec::from_iter(found), IN_SQL);
    }
}
