//! `collector.gaps`: sequence numbers that never arrived. Empty in normal operation.

use database::GenericClient;
use schemas::evidence::SeqRange;
use schemas::id::RunId;

use super::{DbError, execute, parsed, rows, signed, unsigned};

pub(crate) async fn insert(client: &impl GenericClient, gaps: &[(&RunId, u64, u64)]) -> Result<(), DbError> {
    for (run, first_seq, last_seq) in gaps {
        let sql = "insert into collector.gaps (run_id, first_seq, last_seq) values ($1, $2, $3) on conflict do nothing";
        execute(client, sql, &[&run.as_str(), &signed(*first_seq), &signed(*last_seq)]).await?;
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
