//! `collector.gaps`: sequence numbers that never arrived. Empty in normal operation.

use database::{Error, GenericClient};
use schemas::evidence::SeqRange;
use schemas::id::RunId;

use super::{from_sql, to_sql};

pub(crate) async fn insert(client: &impl GenericClient, gaps: &[(&RunId, u64, u64)]) -> Result<(), Error> {
    for (run, first_seq, last_seq) in gaps {
        let sql = "insert into collector.gaps (run_id, first_seq, last_seq) values ($1, $2, $3) on conflict do nothing";
        let statement = client.prepare_cached(sql).await?;
        client.execute(&statement, &[&run.as_str(), &to_sql(*first_seq), &to_sql(*last_seq)]).await?;
    }
    Ok(())
}

/// The gaps of these runs, in order.
pub(crate) async fn of_runs(client: &impl GenericClient, runs: &[&str]) -> Result<Vec<(String, SeqRange)>, Error> {
    let sql = "select run_id, first_seq, last_seq from collector.gaps where run_id = any($1) order by first_seq";
    let rows = client.query(&client.prepare_cached(sql).await?, &[&runs]).await?;
    Ok(rows
        .iter()
        .map(|row| {
            let range = SeqRange { first_seq: from_sql(row.get("first_seq")), last_seq: from_sql(row.get("last_seq")) };
            (row.get("run_id"), range)
        })
        .collect())
}
