//! The executor's whole access to the database: claiming a run, and asking which attempts should stop.

use anyhow::Context;
use database::Pool;
use database::row::{one, parsed, rows, unsigned, unsigned_32};
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
    let (max_attempts, ids) = (i32::try_from(MAX_ATTEMPTS)?, (executor.as_str(), sandbox.as_str(), command.as_str()));
    let row = one(&client, sql, &[&run.as_str(), &ids.0, &ids.1, &ids.2, &redelivered, &max_attempts]).await?;
    let token = unsigned_32(&row, "attempt")?;
    match row.try_get("verdict")? {
        "go" => {
            Ok(Claim::Go { attempt: token, next_seq: unsigned(&row, "next_seq")?, sealed_env: row.try_get("env")? })
        }
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
    let sql = "select run_id, reason from ingest.attempts_to_stop($1, $2)";
    let found = rows(&client, sql, &[&runs, &numbers]).await?;
    found
        .iter()
        .map(|row| {
            let stop = if row.try_get::<_, &str>("reason")? == "canceled" { Stop::Canceled } else { Stop::Silent };
            Ok((parsed(row, "run_id")?, stop))
        })
        .collect()
}
