//! `collector.segments`: what was received and is not yet in the object store (or was sealed a moment ago).

use std::collections::HashMap;
use std::time::Duration;

use database::{Error, GenericClient};
use schemas::id::RunId;
use schemas::message::Segment;

use super::{from_sql, to_sql};

#[derive(Debug, Clone)]
pub(crate) struct StoredSegment {
    pub first_seq: u64,
    pub last_seq: u64,
    pub plain_bytes: u64,
    pub frame: Vec<u8>,
}

pub(crate) async fn insert(client: &impl GenericClient, segments: &[(&RunId, u32, &Segment)]) -> Result<(), Error> {
    if segments.is_empty() {
        return Ok(());
    }
    let runs: Vec<&str> = segments.iter().map(|(run, ..)| run.as_str()).collect();
    let first: Vec<i64> = segments.iter().map(|(.., s)| to_sql(s.first_seq)).collect();
    let last: Vec<i64> = segments.iter().map(|(.., s)| to_sql(s.last_seq)).collect();
    let attempts: Vec<i32> =
        segments.iter().map(|(_, attempt, _)| i32::try_from(*attempt).unwrap_or(i32::MAX)).collect();
    let plain: Vec<i64> = segments.iter().map(|(.., s)| to_sql(s.plain_bytes)).collect();
    let frames: Vec<&[u8]> = segments.iter().map(|(.., s)| s.frame.as_ref()).collect();
    // A segment that came again together with an ending is there already.
    let sql = "insert into collector.segments (run_id, first_seq, last_seq, attempt, plain_bytes, frame)
               select * from unnest($1::text[], $2::int8[], $3::int8[], $4::int4[], $5::int8[], $6::bytea[])
               on conflict do nothing";
    let statement = client.prepare_cached(sql).await?;
    client.execute(&statement, &[&runs, &first, &last, &attempts, &plain, &frames]).await?;
    Ok(())
}

/// For each run its first segments, in order, until their frames together reach `bytes` (or all there are).
pub(crate) async fn first_of_runs(
    client: &impl GenericClient,
    runs: &[&str],
    bytes: u64,
) -> Result<HashMap<String, Vec<StoredSegment>>, Error> {
    let sql = "select run_id, first_seq, last_seq, plain_bytes, frame from (
                   select *, sum(octet_length(frame)) over (partition by run_id order by first_seq)
                       - octet_length(frame) as before
                   from collector.segments where run_id = any($1)) as s
               where before < $2 order by run_id, first_seq";
    let statement = client.prepare_cached(sql).await?;
    let mut found: HashMap<String, Vec<StoredSegment>> = HashMap::new();
    for row in client.query(&statement, &[&runs, &to_sql(bytes)]).await? {
        found.entry(row.get("run_id")).or_default().push(StoredSegment {
            first_seq: from_sql(row.get("first_seq")),
            last_seq: from_sql(row.get("last_seq")),
            plain_bytes: from_sql(row.get("plain_bytes")),
            frame: row.get("frame"),
        });
    }
    Ok(found)
}

/// Deletes what moved to the object store.
pub(crate) async fn delete_through(client: &impl GenericClient, run: &RunId, last_seq: u64) -> Result<(), Error> {
    let sql = "delete from collector.segments where run_id = $1 and last_seq <= $2";
    client.execute(&client.prepare_cached(sql).await?, &[&run.as_str(), &to_sql(last_seq)]).await?;
    Ok(())
}

/// Deletes the segments of some runs that were sealed long enough ago; returns how many runs.
pub(crate) async fn prune(client: &impl GenericClient, retention: Duration, runs: i64) -> Result<u64, Error> {
    let sql = "with old as (
                   select run_id from collector.seals
                   where not pruned and sealed_at < now() - make_interval(secs => $1)
                   order by sealed_at limit $2 for update skip locked),
               gone as (delete from collector.segments using old where segments.run_id = old.run_id)
               update collector.seals set pruned = true from old where seals.run_id = old.run_id";
    client.execute(&client.prepare_cached(sql).await?, &[&retention.as_secs_f64(), &runs]).await
}
