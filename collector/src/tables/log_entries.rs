//! `collector.log_entries`: which entry of the evidence log each sealed run got. Rows are never changed.

use anyhow::Context;
use database::GenericClient;
use schemas::Timestamp;
use schemas::id::RunId;

use super::{from_sql, to_sql};

/// A sealed run without an entry.
#[derive(Debug)]
pub(crate) struct Unlogged {
    pub run_id: RunId,
    pub evidence_sha256: String,
    pub attestation_sha256: Option<String>,
    pub sealed_at: Timestamp,
}

/// Sealed runs without an entry, in the order of their endings.
pub(crate) async fn unlogged(client: &impl GenericClient, limit: usize) -> anyhow::Result<Vec<Unlogged>> {
    let sql = "select run_id, evidence_sha256, attestation_sha256, decided_at from collector.seals
               where sealed_at is not null and not logged order by decided_at, run_id limit $1";
    let rows = client.query(&client.prepare_cached(sql).await?, &[&to_sql(limit as u64)]).await?;
    rows.iter()
        .map(|row| {
            Ok(Unlogged {
                run_id: row.get::<_, String>("run_id").parse()?,
                evidence_sha256: row.get::<_, Option<_>>("evidence_sha256").context("a sealed run without digest")?,
                attestation_sha256: row.get("attestation_sha256"),
                sealed_at: Timestamp::from(row.get::<_, time::OffsetDateTime>("decided_at")),
            })
        })
        .collect()
}

/// Appends entries of these runs, from this index on.
pub(crate) async fn append(
    client: &impl GenericClient,
    first_index: u64,
    runs: &[Unlogged],
    entries: &[Vec<u8>],
) -> anyhow::Result<()> {
    let runs: Vec<&str> = runs.iter().map(|run| run.run_id.as_str()).collect();
    let sql = "insert into collector.log_entries (leaf_index, run_id, entry)
               select $1 + new.at - 1, new.run_id, new.entry
               from unnest($2::text[], $3::bytea[]) with ordinality as new (run_id, entry, at)";
    client.execute(&client.prepare_cached(sql).await?, &[&to_sql(first_index), &runs, &entries]).await?;
    let sql = "update collector.seals set logged = true where run_id = any($1)";
    client.execute(&client.prepare_cached(sql).await?, &[&runs]).await?;
    Ok(())
}

/// Entries from this index on, in order.
pub(crate) async fn from(client: &impl GenericClient, first_index: u64, limit: usize) -> anyhow::Result<Vec<Vec<u8>>> {
    let sql = "select leaf_index, entry from collector.log_entries where leaf_index >= $1 order by leaf_index limit $2";
    let statement = client.prepare_cached(sql).await?;
    let rows = client.query(&statement, &[&to_sql(first_index), &to_sql(limit as u64)]).await?;
    for (row, expected) in rows.iter().zip(first_index..) {
        let found = from_sql(row.get("leaf_index"));
        anyhow::ensure!(found == expected, "the log has entry {found} where {expected} should be");
    }
    Ok(rows.iter().map(|row| row.get("entry")).collect())
}

/// For how many seconds the oldest sealed run waits to be in a signed tree; 0 if none does.
pub(crate) async fn lag_seconds(client: &impl GenericClient) -> anyhow::Result<f64> {
    let sql = "select coalesce(extract(epoch from clock_timestamp() - min(sealed_at)), 0)::float8 from (
                   select sealed_at from collector.seals where sealed_at is not null and not logged
                   union all
                   select seals.sealed_at from collector.log_entries join collector.seals using (run_id)
                   where leaf_index >= coalesce((select max(tree_size) from collector.log_checkpoints), 0)
               ) as waiting";
    Ok(client.query_one(&client.prepare_cached(sql).await?, &[]).await?.get(0))
}
