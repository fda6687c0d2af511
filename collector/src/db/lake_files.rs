//! `collector.lake_files`: the files of the tables, and the chunk of them that each sealed run is in. The table calls a
//! chunk a batch.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::ensure;
use database::{GenericClient, Row};
use schemas::id::RunId;
use time::Date;

use super::{DbError, execute, json, one, optional, parsed, rows, signed, unsigned};

/// The runs of one day in these chunks, in all tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunks {
    pub date: Date,
    pub first: u64,
    pub last: u64,
}

/// Number of rows by table name.
pub(crate) type Rows = BTreeMap<String, u64>;

/// Files that are in the store.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub chunks: Chunks,
    pub rows: Rows,
    pub bytes: u64,
}

/// A sealed run that is in no chunk.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub run_id: RunId,
    pub date: Date,
    pub test_cases: u64,
}

/// The place of a run's bundle.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub run_id: RunId,
    pub evidence_key: String,
    pub evidence_sha256: String,
}

/// Sealed runs without a chunk, the longest-waiting first.
pub(crate) async fn waiting(client: &impl GenericClient, limit: usize) -> Result<Vec<Waiting>, DbError> {
    // A run's folder has the day; so its partition never changes.
    let sql = "select run_id, substring(evidence_key from '/date=(\\d{4}-\\d{2}-\\d{2})/')::date as date,
                   (select coalesce(sum((report->>'total')::int8), 0)::int8
                    from jsonb_array_elements(ending #> '{end,testReports}') as report) as test_cases
               from collector.seals
               where sealed_at is not null and evidence_key is not null and lake_batch is null
               order by sealed_at, run_id limit $1";
    let found = rows(client, sql, &[&signed(limit as u64)]).await?;
    found
        .iter()
        .map(|row| {
            Ok(Waiting {
                run_id: parsed(row, "run_id")?,
                date: row.try_get("date")?,
                test_cases: unsigned(row, "test_cases")?,
            })
        })
        .collect()
}

/// Makes one chunk of these runs, which are of one day.
pub(crate) async fn assign(client: &impl GenericClient, date: Date, runs: &[&str]) -> anyhow::Result<()> {
    let sql = "with new as (
                   insert into collector.lake_files (date, first_batch, last_batch)
                   select $1, next, next from (
                       select coalesce(max(last_batch), 0) + 1 as next from collector.lake_files
                   ) as latest
                   returning first_batch
               )
               update collector.seals set lake_batch = first_batch from new
               where run_id = any($2) and lake_batch is null";
    let assigned = execute(client, sql, &[&date, &runs]).await?;
    ensure!(assigned == runs.len() as u64, "{assigned} of {} runs got into a chunk", runs.len());
    Ok(())
}

/// Files that are to be written, in the order of chunks.
pub(crate) async fn unwritten(client: &impl GenericClient, limit: usize) -> Result<Vec<Chunks>, DbError> {
    let sql = "select date, first_batch, last_batch from collector.lake_files
               where written_at is null order by first_batch limit $1";
    rows(client, sql, &[&signed(limit as u64)]).await?.iter().map(chunks).collect()
}

/// The runs of a chunk, in order.
pub(crate) async fn members(client: &impl GenericClient, chunk: u64) -> Result<Vec<Member>, DbError> {
    let sql = "select run_id, evidence_key, evidence_sha256 from collector.seals where lake_batch = $1 order by run_id";
    let found = rows(client, sql, &[&signed(chunk)]).await?;
    found
        .iter()
        .map(|row| {
            Ok(Member {
                run_id: parsed(row, "run_id")?,
                evidence_key: row.try_get("evidence_key")?,
                evidence_sha256: row.try_get("evidence_sha256")?,
            })
        })
        .collect()
}

/// Notes that all files of this name are in the store.
pub(crate) async fn finish(client: &impl GenericClient, chunks: Chunks, rows: &Rows, bytes: u64) -> anyhow::Result<()> {
    let sql = "update collector.lake_files set rows = $4, bytes = $5, written_at = clock_timestamp()
               where date = $1 and first_batch = $2 and last_batch = $3 and written_at is null";
    let Chunks { date, first, last } = chunks;
    let rows = serde_json::to_value(rows)?;
    execute(client, sql, &[&date, &signed(first), &signed(last), &rows, &signed(bytes)]).await?;
    Ok(())
}

/// The first past day with neighbours that fit into one file, all written and none of them lately.
pub(crate) async fn to_compact(
    client: &impl GenericClient,
    settled: Duration,
    max_bytes: u64,
) -> Result<Option<Date>, DbError> {
    let sql = "select date from (
                   select date, written_at, bytes + lag(bytes) over (partition by date order by first_batch) as pair_bytes
                   from collector.lake_files where date < (clock_timestamp() at time zone 'utc')::date
               ) as files
               group by date
               having count(*) = count(written_at) and min(pair_bytes) <= $2
                   and max(written_at) <= clock_timestamp() - make_interval(secs => $1)
               order by date limit 1";
    let row = optional(client, sql, &[&settled.as_secs_f64(), &signed(max_bytes)]).await?;
    Ok(row.map(|row| row.try_get("date")).transpose()?)
}

/// Plans a file of these chunks, which compaction is to put in the place of theirs.
pub(crate) async fn plan(client: &impl GenericClient, chunks: Chunks) -> Result<(), DbError> {
    let sql = "insert into collector.lake_files (date, first_batch, last_batch) values ($1, $2, $3)";
    execute(client, sql, &[&chunks.date, &signed(chunks.first), &signed(chunks.last)]).await.map(drop)
}

/// Files that are to be deleted, since a larger file that is in the store has replaced them.
pub(crate) async fn replaced(client: &impl GenericClient) -> Result<Vec<Chunks>, DbError> {
    let sql = "select small.date, small.first_batch, small.last_batch
               from collector.lake_files as large
               join collector.lake_files as small using (date)
               where large.written_at is not null and large.first_batch < large.last_batch
                   and small.first_batch >= large.first_batch and small.last_batch <= large.last_batch
                   and (small.first_batch, small.last_batch) <> (large.first_batch, large.last_batch)
               order by small.first_batch";
    rows(client, sql, &[]).await?.iter().map(chunks).collect()
}

/// All files that count: written, and not replaced by a larger one.
pub(crate) async fn current(client: &impl GenericClient) -> Result<Vec<Written>, DbError> {
    let sql = "select date, first_batch, last_batch, rows, bytes from collector.lake_files as small
               where written_at is not null and not exists (
                   select from collector.lake_files as large
                   where large.date = small.date and large.written_at is not null
                       and large.first_batch <= small.first_batch and large.last_batch >= small.last_batch
                       and (large.first_batch, large.last_batch) <> (small.first_batch, small.last_batch)
               ) order by first_batch";
    rows(client, sql, &[]).await?.iter().map(written).collect()
}

/// The files of one day whose chunks are all in `range`, first and last; without a range, all files of that day.
pub(crate) async fn within(
    client: &impl GenericClient,
    date: Date,
    range: Option<(u64, u64)>,
) -> Result<Vec<Written>, DbError> {
    let (first, last) = range.map_or((0, i64::MAX), |(first, last)| (signed(first), signed(last)));
    let sql = "select date, first_batch, last_batch, rows, bytes from collector.lake_files
               where date = $1 and first_batch >= $2 and last_batch <= $3 and written_at is not null
               order by first_batch";
    rows(client, sql, &[&date, &first, &last]).await?.iter().map(written).collect()
}

/// Removes the rows of deleted files.
pub(crate) async fn forget(client: &impl GenericClient, chunks: Chunks) -> Result<(), DbError> {
    let sql = "delete from collector.lake_files where date = $1 and first_batch = $2 and last_batch = $3";
    execute(client, sql, &[&chunks.date, &signed(chunks.first), &signed(chunks.last)]).await.map(drop)
}

/// Time that the oldest sealed run has waited to be in the tables; 0 if none waits.
pub(crate) async fn lag_seconds(client: &impl GenericClient) -> Result<f64, DbError> {
    let sql = "select coalesce(extract(epoch from clock_timestamp() - min(sealed_at)), 0)::float8 from (
                   select min(sealed_at) as sealed_at from collector.seals
                   where sealed_at is not null and evidence_key is not null and lake_batch is null
                   union all
                   select sealed_at from collector.lake_files join collector.seals on lake_batch = first_batch
                   where written_at is null and first_batch = last_batch
               ) as waiting";
    Ok(one(client, sql, &[]).await?.try_get(0)?)
}

fn chunks(row: &Row) -> Result<Chunks, DbError> {
    Ok(Chunks { date: row.try_get("date")?, first: unsigned(row, "first_batch")?, last: unsigned(row, "last_batch")? })
}

fn written(row: &Row) -> Result<Written, DbError> {
    Ok(Written { chunks: chunks(row)?, rows: json(row, "rows")?, bytes: unsigned(row, "bytes")? })
}
