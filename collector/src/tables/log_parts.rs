//! `collector.parts`: the parts of event logs that are in the object store.

use database::GenericClient;
use schemas::evidence::EventLogPart;
use schemas::id::RunId;
use schemas::merkle::Hash;

use super::{from_sql, to_sql};

#[derive(Debug, Clone)]
pub(crate) struct StoredPart {
    pub run_id: String,
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
    let statement = client.prepare_cached(sql).await?;
    client
        .execute(
            &statement,
            &[
                &run.as_str(),
                &i32::try_from(number)?,
                &part.object_key,
                &to_sql(part.size_bytes),
                &part.sha256,
                &to_sql(part.first_seq),
                &to_sql(part.last_seq),
                &to_sql(part.index_offset),
                &leaves.concat(),
            ],
        )
        .await?;
    Ok(())
}

/// The parts of these runs, in order.
pub(crate) async fn of_runs(client: &impl GenericClient, runs: &[&str]) -> anyhow::Result<Vec<StoredPart>> {
    let sql = "select run_id, object_key, size_bytes, sha256, first_seq, last_seq, index_offset, leaves
               from collector.parts where run_id = any($1) order by run_id, part";
    let rows = client.query(&client.prepare_cached(sql).await?, &[&runs]).await?;
    let parts = rows.iter().map(|row| StoredPart {
        run_id: row.get("run_id"),
        part: EventLogPart {
            object_key: row.get("object_key"),
            size_bytes: from_sql(row.get("size_bytes")),
            sha256: row.get("sha256"),
            first_seq: from_sql(row.get("first_seq")),
            last_seq: from_sql(row.get("last_seq")),
            index_offset: from_sql(row.get("index_offset")),
        },
        leaves: row.get::<_, &[u8]>("leaves").as_chunks::<32>().0.to_vec(),
    });
    Ok(parts.collect())
}
