//! The executor's whole access to the database: claiming a run, and asking which attempts should stop.

use anyhow::Context;
use database::Pool;
use schemas::id::{CommandId, ExecutorId, RunId, SandboxId};
use schemas::run::MAX_ATTEMPTS;

use super::running::Stop;

/// The answer to a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Run it, as this attempt, numbering events from `next_seq`.
    /// `sealed_env`: its environment variables, encrypted.
    Go { attempt: u32, next_seq: u64, sealed_env: Option<Vec<u8>> },
    /// The job was published twice, and another executor has the run.
    Duplicate,
    /// The run has ended, or another process ends it.
    Ended,
    /// Say that it is canceled, with this token.
    Canceled { token: u32 },
    /// Say that there will be no further attempt, with this token.
    Exhausted { token: u32 },
}

impl Claim {
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Go { .. } => "go",
            Self::Duplicate => "duplicate",
            Self::Ended => "ended",
            Self::Canceled { .. } => "canceled",
            Self::Exhausted { .. } => "exhausted",
        }
    }
}

pub(crate) async fn claim(
    pool: &Pool,
    run: &RunId,
    executor: &ExecutorId,
    sandbox: &SandboxId,
    command: &CommandId,
    redelivered: bool,
) -> anyhow::Result<Claim> {
    let client = pool.get().await.context("no database connection")?;
    let sql = "select verdict, attempt, next_seq, env from ingest.claim_run($1, $2, $3, $4, $5, $6)";
    let statement = client.prepare_cached(sql).await?;
    let (max_attempts, ids) = (i32::try_from(MAX_ATTEMPTS)?, (executor.as_str(), sandbox.as_str(), command.as_str()));
    let row =
        client.query_one(&statement, &[&run.as_str(), &ids.0, &ids.1, &ids.2, &redelivered, &max_attempts]).await?;
    let token = u32::try_from(row.get::<_, i32>("attempt"))?;
    match row.get("verdict") {
        "go" => Ok(Claim::Go {
            attempt: token,
            next_seq: u64::try_from(row.get::<_, i64>("next_seq"))?,
            sealed_env: row.get("env"),
        }),
        "duplicate" => Ok(Claim::Duplicate),
        "ended" => Ok(Claim::Ended),
        "canceled" => Ok(Claim::Canceled { token }),
        "exhausted" => Ok(Claim::Exhausted { token }),
        other => anyhow::bail!("the database answered a claim with `{other}`"),
    }
}

/// Asks which of the attempts should stop.
pub(crate) async fn to_stop(pool: &Pool, attempts: &[(RunId, u32)]) -> anyhow::Result<Vec<(RunId, Stop)>> {
    let client = pool.get().await.context("no database connection")?;
    let runs: Vec<&str> = attempts.iter().map(|(run, _)| run.as_str()).collect();
    let numbers = attempts.iter().map(|(_, attempt)| i32::try_from(*attempt)).collect::<Result<Vec<_>, _>>()?;
    let statement = client.prepare_cached("select run_id, reason from ingest.attempts_to_stop($1, $2)").await?;
    let rows = client.query(&statement, &[&runs, &numbers]).await?;
    rows.iter()
        .map(|row| {
            let stop = if row.get::<_, &str>("reason") == "canceled" { Stop::Canceled } else { Stop::Fenced };
            Ok((row.get::<_, &str>("run_id").parse()?, stop))
        })
        .collect()
}
