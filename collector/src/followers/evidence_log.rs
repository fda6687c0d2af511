//! The append-only log of all evidence: sealed runs get entries in a Merkle log in the object store, a moment after
//! their seal and without holding it up. One collector at a time writes the log.

mod config;
mod metrics;
mod objects;
mod sequencer;
mod tail;

use std::time::Duration;

use database::locks::{self, while_leader};
use database::{Client, PostgresConfig};
use infra::task::{Next, every};
use tokio_util::sync::CancellationToken;

pub use self::config::EvidenceLogConfig;
pub(crate) use self::metrics::EvidenceLogMetrics;
pub(crate) use self::sequencer::EvidenceLog;
use self::sequencer::{GROUP, Sequencer};

/// The longest time from a seal to the beginning of its group, if the group before was not full.
const INTERVAL: Duration = Duration::from_secs(1);
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// Writes the log whenever this collector leads, until `shutdown`. After an interruption another call resumes the log,
/// here or in another collector.
pub(crate) async fn work(log: EvidenceLog, postgres: PostgresConfig, shutdown: CancellationToken) {
    every(RETRY_DELAY, "continue the evidence log", shutdown.clone(), async || {
        while_leader(&postgres, locks::EVIDENCE_LOG, &shutdown, |client| write(&log, client)).await?;
        Ok(Next::AfterInterval)
    })
    .await;
}

async fn write(log: &EvidenceLog, client: Client) -> anyhow::Result<()> {
    let mut sequencer = Sequencer::resume(log, client).await?;
    loop {
        if sequencer.step().await? < GROUP {
            tokio::time::sleep(INTERVAL).await;
        }
    }
}
