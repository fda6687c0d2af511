//! The append-only log of all evidence: sealed runs get entries in a Merkle log in the object store, a moment after their
//! seal and without holding it up. Of all collectors, one at a time writes the log.

mod config;
mod metrics;
mod objects;
mod sequencer;
mod tail;

use std::time::Duration;

use anyhow::Context as _;
use infra::postgres::{self, PostgresConfig};
use tokio_util::sync::CancellationToken;

pub use self::config::EvidenceLogConfig;
pub(crate) use self::metrics::EvidenceLogMetrics;
pub(crate) use self::sequencer::EvidenceLog;
use self::sequencer::{GROUP, Sequencer};

/// The longest time from a seal to the beginning of its group, if the group before was not full.
const INTERVAL: Duration = Duration::from_secs(1);
const RETRY_DELAY: Duration = Duration::from_secs(2);
/// Held by the session that writes the log, in the database whose log it is.
const LOCK: i64 = 0x7472_616e_7370_6172;

pub(crate) async fn work(log: EvidenceLog, postgres: PostgresConfig, shutdown: CancellationToken) {
    loop {
        let worked = tokio::select! {
            worked = write(&log, &postgres) => worked,
            () = shutdown.cancelled() => return,
        };
        if let Err(error) = worked {
            tracing::warn!(error = %format!("{error:#}"), "cannot continue the evidence log; retrying");
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY_DELAY) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// Writes the log for as long as this session holds the lock. After an interruption another call resumes it, here or in
/// another collector.
async fn write(log: &EvidenceLog, postgres: &PostgresConfig) -> anyhow::Result<()> {
    // A pool of its own: the session ends with this call, and the lock with the session.
    let pool = postgres::open(postgres)?;
    let client = pool.get().await.context("no database connection")?;
    while !client.query_one("select pg_try_advisory_lock($1)", &[&LOCK]).await?.get::<_, bool>(0) {
        // Another collector writes it.
        tokio::time::sleep(INTERVAL).await;
    }
    let mut sequencer = Sequencer::resume(log, client).await?;
    loop {
        if sequencer.step().await? < GROUP {
            tokio::time::sleep(INTERVAL).await;
        }
    }
}
