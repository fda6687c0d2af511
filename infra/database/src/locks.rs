//! The registry of locks, and leadership. No other file makes up the number of an advisory lock.
//!
//! Whoever logs in to a database can take every advisory lock in it, so what all tenants need is not locked by one: rows that
//! only the owner's functions reach are (`collector.locks`, `collector.leaders`).
//!
//! Advisory locks that SQL functions take, listed here so that nobody takes their numbers (the test below finds each in
//! `migrations/`): 7401, seed of a hash: one organization's slots (`metering.lock_organization`) · 7403 and 7404, in migrations before V6
//! only. Ingest hashes into the 64-bit space: `template <slug>`, `template object <key>`, and the scope of an
//! `Idempotency-Key`. The tests' harness takes 7402.

use std::time::Duration;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use crate::pool::{PostgresConfig, open};
use crate::{Client, GenericClient};

/// Held while the schema is migrated, before there is a table to lock. A session that holds it up is for the administrator to
/// end.
pub const MIGRATION: i64 = 0x6372_6f77_6e65_7374;

/// Something that one session at a time may write, by its name in `collector.leaders`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leader(&'static str);

pub const EVIDENCE_LOG: Leader = Leader("evidence log");
pub const TABLES: Leader = Leader("tables");

/// Interval at which a follower asks whether the leader is gone.
const INTERVAL: Duration = Duration::from_secs(1);

/// Waits until no other session leads, then leads with a session, until `lead` ends or `shutdown`.
///
/// The session is of this call alone: it ends with the call, and the leadership with it. A leader that has lost its session can
/// therefore write nothing that needs it; `lead` must do its writes through the client that it is given.
pub async fn while_leader<F, Lead>(
    postgres: &PostgresConfig,
    leader: Leader,
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
        while !try_lead(&client, leader).await? {
            tokio::time::sleep(INTERVAL).await;
        }
        lead(client).await
    };
    tokio::select! {
        ended = elected => ended,
        () = shutdown.cancelled() => Ok(()),
    }
}

async fn try_lead(client: &Client, leader: Leader) -> Result<bool, crate::Error> {
    let sql = "select collector.lead($1, (select backend_start from pg_stat_activity where pid = pg_backend_pid()))";
    client.query_one(sql, &[&leader.0]).await?.try_get(0)
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
