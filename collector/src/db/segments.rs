//! `collector.segments`: events that were received and are not yet in the object store, or were sealed a moment ago.

use std::collections::HashMap;
use std::time::Duration;

use database::GenericClient;
use schemas::id::RunId;
use schemas::message::Segment;

use super::{DbError, execute, parsed, rows, signed, unsigned};

#[derive(Debug, Clone)]
pub(crate) struct StoredSegment {
    pub first_seq: u64,
    pub last_seq: u64,
    pub plain_bytes: u64,
    pub frame: Vec<u8>,
}

pub(crate) async fn insert(client: &impl GenericClient, segments: &[(&RunId, u32, &Segment)]) -> Result<(), DbError> {
    if segments.is_empty() {
        return Ok(());
    }
    let runs: Vec<&str> = segments.iter().map(|(run, ..)| run.as_str()).collect();
    let first: Vec<i64> = segments.iter().map(|(.., s)| signed(s.first_seq)).collect();
    let last: Vec<i64> = segments.iter().map(|(.., s)| signed(s.last_seq)).collect();
    let attempts: Vec<i32> =
        segments.iter().map(|(_, attempt, _)| i32::try_from(*attempt).unwrap_or(i32::MAX)).collect();
    let plain: Vec<i64> = segments.iter().map(|(.., s)| signed(s.plain_bytes)).collect();
    let frames: Vec<&[u8]> = segments.iter().map(|(.., s)| s.frame.as_ref()).collect();
    // A segment that came again together with an ending is there already.
    let sql = "insert into collector.segments (run_id, first_seq, last_seq, attempt, plain_bytes, frame)
               select * from unnest($1::text[], $2::int8[], $3::int8[], $4::int4[], $5::int8[], $6::bytea[])
               on conflict do nothing";
    execute(client, sql, &[&runs, &first, &last, &attempts, &plain, &frames]).await.map(drop)
}

/// The first segments of each run, in order, until their frames together reach `bytes`, or all there are.
pub(crate) async fn first_of_runs(
    client: &impl GenericClient,
    runs: &[&str],
    bytes: u64,
) -> Result<HashMap<RunId, Vec<StoredSegment>>, DbError> {
    let sql = "select run_id, first_seq, last_seq, plain_bytes, frame from (
                   select *, sum(octet_length(frame)) over (partition by run_id order by first_seq)
                       - octet_length(frame) as before
                   from collector.segments where run_id = any($1)) as s
               where before < $2 order by run_id, first_seq";
    let mut found: HashMap<RunId, Vec<StoredSegment>> = HashMap::new();
    for row in rows(client, sql, &[&runs, &signed(bytes)]).await? {
        found.entry(parsed(&row, "run_id")?).or_default().push(StoredSegment {
            first_seq: unsigned(&row, "first_seq")?,
            last_seq: unsigned(&row, "last_seq")?,
            plain_bytes: unsigned(&row, "plain_bytes")?,
            frame: row.try_get("frame")?,
        });
    }
    Ok(found)
}

/// Deletes the segments that moved to the object store.
pub(crate) async fn delete_through(client: &impl GenericClient, run: &RunId, last_seq: u64) -> Result<(), DbError> {
    let sql = "delete from collector.segments where run_id = $1 and last_seq <= $2";
    execute(client, sql, &[&run.as_str(), &signed(last_seq)]).await.map(drop)
}

/// Deletes the segments of at most `runs` runs that were sealed long enough ago; returns the number of runs.
pub(crate) async fn prune(client: &impl GenericClient, retention: Duration, runs: i64) -> Result<u64, DbError> {
    let sql = "with old as (
                   select run_id from collector.seals
                   where not pruned and sealed_at < now() - make_interval(secs => $1)
                   order by sealed_at limit $2 for update skip locked),
               gone as (delete from collector.segments using old where segments.run_id = old.run_id)
               update collector.seals set pruned = true from old where seals.run_id = old.run_id";
    execute(client, sql, &[&retention.as_secs_f64(), &runs]).await
}
