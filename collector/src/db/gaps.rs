//! `collector.gaps`: sequence numbers that never arrived. Empty in normal operation.

use database::GenericClient;
use database::row::Refused;
use schemas::evidence::SeqRange;
use schemas::id::RunId;

use super::{DbError, execute, parsed, rows, signed, unsigned};

/// Gaps of one run. Each is listed in its evidence, which has a bound.
const MOST: i64 = 1_000;

/// Refuses more gaps than a run may have.
pub(crate) async fn insert(client: &impl GenericClient, gaps: &[(&RunId, u64, u64)]) -> anyhow::Result<()> {
    for (run, first_seq, last_seq) in gaps {
        let sql = "insert into collector.gaps (run_id, first_seq, last_seq)
                   select $1, $2, $3 where (select count(*) from collector.gaps where run_id = $1) < $4";
        let added = execute(client, sql, &[&run.as_str(), &signed(*first_seq), &signed(*last_seq), &MOST]).await?;
        if added == 0 {
            return Err(Refused("the run has 1,000 gaps already").into());
        }
    }
    Ok(())
}

/// The gaps of these runs, in order.
pub(crate) async fn of_runs(client: &impl GenericClient, runs: &[&str]) -> Result<Vec<(RunId, SeqRange)>, DbError> {
    let sql = "select run_id, first_seq, last_seq from collector.gaps where run_id = any($1) order by first_seq";
    let found = rows(client, sql, &[&runs]).await?;
    found
        .iter()
        .map(|row| {
            let range = SeqRange { first_seq: unsigned(row, "first_seq")?, last_seq: unsigned(row, "last_seq")? };
            Ok((parsed(row, "run_id")?, range))
        })
        .collect()
}
