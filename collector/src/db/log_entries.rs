//! `collector.log_entries`: the entry of the evidence log that each sealed run got. Rows are never changed.

use anyhow::ensure;
use database::GenericClient;
use schemas::Timestamp;
use schemas::id::RunId;

use super::{DbError, execute, one, parsed, rows, signed, timestamp, unsigned};

/// A sealed run without an entry.
#[derive(Debug)]
pub(crate) struct Unlogged {
    pub run_id: RunId,
    pub evidence_sha256: String,
    pub attestation_sha256: Option<String>,
    pub sealed_at: Timestamp,
}

/// Sealed runs without an entry, in the order of their endings.
pub(crate) async fn unlogged(client: &impl GenericClient, limit: usize) -> Result<Vec<Unlogged>, DbError> {
    let sql = "select run_id, evidence_sha256, attestation_sha256, decided_at from collector.seals
               where sealed_at is not null and not logged order by decided_at, run_id limit $1";
    let found = rows(client, sql, &[&signed(limit as u64)]).await?;
    found
        .iter()
        .map(|row| {
            Ok(Unlogged {
                run_id: parsed(row, "run_id")?,
                evidence_sha256: row.try_get("evidence_sha256")?,
                attestation_sha256: row.try_get("attestation_sha256")?,
                sealed_at: timestamp(row, "decided_at")?,
            })
        })
        .collect()
}

/// Appends the entries of these runs; the first gets this index.
pub(crate) async fn append(
    client: &impl GenericClient,
    first_index: u64,
    runs: &[Unlogged],
    entries: &[Vec<u8>],
) -> Result<(), DbError> {
    let runs: Vec<&str> = runs.iter().map(|run| run.run_id.as_str()).collect();
    let sql = "insert into collector.log_entries (leaf_index, run_id, entry)
               select $1 + new.at - 1, new.run_id, new.entry
               from unnest($2::text[], $3::bytea[]) with ordinality as new (run_id, entry, at)";
    execute(client, sql, &[&signed(first_index), &runs, &entries]).await?;
    execute(client, "update collector.seals set logged = true where run_id = any($1)", &[&runs]).await.map(drop)
}

/// Entries from this index on, in order.
pub(crate) async fn from(client: &impl GenericClient, first_index: u64, limit: usize) -> anyhow::Result<Vec<Vec<u8>>> {
    let sql = "select leaf_index, entry from collector.log_entries where leaf_index >= $1 order by leaf_index limit $2";
    let found = rows(client, sql, &[&signed(first_index), &signed(limit as u64)]).await?;
    for (row, expected) in found.iter().zip(first_index..) {
        let index = unsigned(row, "leaf_index")?;
        ensure!(index == expected, "the log has entry {index} where {expected} should be");
    }
    Ok(found.iter().map(|row| row.try_get("entry")).collect::<Result<_, _>>()?)
}

/// Time that the oldest sealed run has waited to be in a signed tree; 0 if none waits.
pub(crate) async fn lag_seconds(client: &impl GenericClient) -> Result<f64, DbError> {
    let sql = "select coalesce(extract(epoch from clock_timestamp() - min(sealed_at)), 0)::float8 from (
                   select sealed_at from collector.seals where sealed_at is not null and not logged
                   union all
                   select seals.sealed_at from collector.log_entries join collector.seals using (run_id)
                   where leaf_index >= coalesce((select max(tree_size) from collector.log_checkpoints), 0)
               ) as waiting";
    Ok(one(client, sql, &[]).await?.try_get(0)?)
}
