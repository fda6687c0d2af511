//! `collector.parts`: the parts of event logs that are in the object store.

use database::GenericClient;
use schemas::evidence::EventLogPart;
use schemas::id::RunId;
use schemas::merkle::Hash;

use super::{DbError, execute, parsed, rows, signed, unsigned};

#[derive(Debug, Clone)]
pub(crate) struct StoredPart {
    pub run_id: RunId,
    pub part: EventLogPart,
    pub leaves: Vec<Hash>,
}

pub(crate) async fn insert(
    client: &impl GenericClient,
    run: &RunId,
    number: usize,
    part: &EventLogPart,
    leaves: &[Hash],
) -> anyhow::Result<()> {
    let sql = "insert into collector.parts
                   (run_id, part, object_key, size_bytes, sha256, first_seq, last_seq, index_offset, leaves)
               values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing";
    let parameters: database::row::Params<'_> = &[
        &run.as_str(),
        &i32::try_from(number)?,
        &part.object_key,
        &signed(part.size_bytes),
        &part.sha256,
        &signed(part.first_seq),
        &signed(part.last_seq),
        &signed(part.index_offset),
        &leaves.concat(),
    ];
    execute(client, sql, parameters).await?;
    Ok(())
}

/// The parts of these runs, in order.
pub(crate) async fn of_runs(client: &impl GenericClient, runs: &[&str]) -> Result<Vec<StoredPart>, DbError> {
    let sql = "select run_id, object_key, size_bytes, sha256, first_seq, last_seq, index_offset, leaves
               from collector.parts where run_id = any($1) order by run_id, part";
    let found = rows(client, sql, &[&runs]).await?;
    found
        .iter()
        .map(|row| {
            let part = EventLogPart {
                object_key: row.try_get("object_key")?,
                size_bytes: unsigned(row, "size_bytes")?,
                sha256: row.try_get("sha256")?,
                first_seq: unsigned(row, "first_seq")?,
                last_seq: unsigned(row, "last_seq")?,
                index_offset: unsigned(row, "index_offset")?,
            };
            let leaves = row.try_get::<_, &[u8]>("leaves")?.as_chunks::<32>().0.to_vec();
            Ok(StoredPart { run_id: parsed(row, "run_id")?, part, leaves })
        })
        .collect()
}
