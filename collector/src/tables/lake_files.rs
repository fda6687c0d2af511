//! `collector.lake_files`: the files of the tables, and which batch of them each sealed run is in.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use database::GenericClient;
use time::Date;

use super::{from_sql, to_sql};

/// The runs of one day in these batches, in all tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Batches {
    pub date: Date,
    pub first: u64,
    pub last: u64,
}

/// Rows of each table, by its name.
pub(crate) type Rows = BTreeMap<String, u64>;

/// Files that are in the store.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub batches: Batches,
    pub rows: Rows,
    pub bytes: u64,
}

/// A sealed run that is in no batch.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub run_id: String,
    pub date: Date,
    pub test_cases: u64,
}

/// Where the bundle of a run is.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub run_id: String,
    pub evidence_key: String,
    pub evidence_sha256: String,
}

/// Sealed runs without a batch, those that wait longest first.
pub(crate) async fn waiting(client: &impl GenericClient, limit: usize) -> anyhow::Result<Vec<Waiting>> {
    // A run's folder has the day; so its partition never changes.
    let sql = "select run_id, substring(evidence_key from '/date=(\\d{4}-\\d{2}-\\d{2})/')::date as date,
                   (select coalesce(sum((report->>'total')::int8), 0)::int8
                    from jsonb_array_elements(ending #> '{end,testReports}') as report) as test_cases
               from collector.seals
               where sealed_at is not null and evidence_key is not null and lake_batch is null
               order by sealed_at, run_id limit $1";
    let rows = client.query(&client.prepare_cached(sql).await?, &[&to_sql(limit as u64)]).await?;
    rows.iter()
        .map(|row| {
            Ok(Waiting {
                run_id: row.get("run_id"),
                date: row.get::<_, Option<Date>>("date").context("the folder of a run's evidence has no date")?,
                test_cases: from_sql(row.get("test_cases")),
            })
        })
        .collect()
}

/// Makes one batch of these runs, which are of one day.
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
    let assigned = client.execute(&client.prepare_cached(sql).await?, &[&date, &runs]).await?;
    anyhow::ensure!(assigned == runs.len() as u64, "{assigned} of {} runs got into a batch", runs.len());
    Ok(())
}

/// What is to be written, in the order of batches.
pub(crate) async fn unwritten(client: &impl GenericClient, limit: usize) -> anyhow::Result<Vec<Batches>> {
    let sql = "select date, first_batch, last_batch from collector.lake_files
               where written_at is null order by first_batch limit $1";
    let rows = client.query(&client.prepare_cached(sql).await?, &[&to_sql(limit as u64)]).await?;
    Ok(rows.iter().map(batches).collect())
}

/// The runs of a batch, in order.
pub(crate) async fn members(client: &impl GenericClient, batch: u64) -> anyhow::Result<Vec<Member>> {
    let sql = "select run_id, evidence_key, evidence_sha256 from collector.seals where lake_batch = $1 order by run_id";
    let rows = client.query(&client.prepare_cached(sql).await?, &[&to_sql(batch)]).await?;
    rows.iter()
        .map(|row| {
            Ok(Member {
                run_id: row.get("run_id"),
                evidence_key: row.get::<_, Option<_>>("evidence_key").context("a batch has a run without evidence")?,
                evidence_sha256: row.get::<_, Option<_>>("evidence_sha256").context("a sealed run without digest")?,
            })
        })
        .collect()
}

/// All files of this name are in the store.
pub(crate) async fn finish(
    client: &impl GenericClient,
    batches: Batches,
    rows: &Rows,
    bytes: u64,
) -> anyhow::Result<()> {
    let sql = "update collector.lake_files set rows = $4, bytes = $5, written_at = clock_timestamp()
               where date = $1 and first_batch = $2 and last_batch = $3 and written_at is null";
    let statement = client.prepare_cached(sql).await?;
    let Batches { date, first, last } = batches;
    let rows = serde_json::to_value(rows)?;
    client.execute(&statement, &[&date, &to_sql(first), &to_sql(last), &rows, &to_sql(bytes)]).await?;
    Ok(())
}

/// Past days with neighbours that fit into one file, all written and none of them lately.
pub(crate) async fn to_compact(
    client: &impl GenericClient,
    settled: Duration,
    max_bytes: u64,
) -> anyhow::Result<Option<Date>> {
    let sql = "select date from (
                   select date, written_at, bytes + lag(bytes) over (partition by date order by first_batch) as pair_bytes
                   from collector.lake_files where date < (clock_timestamp() at time zone 'utc')::date
               ) as files
               group by date
               having count(*) = count(written_at) and min(pair_bytes) <= $2
                   and max(written_at) <= clock_timestamp() - make_interval(secs => $1)
               order by date limit 1";
    let statement = client.prepare_cached(sql).await?;
    let row = client.query_opt(&statement, &[&settled.as_secs_f64(), &to_sql(max_bytes)]).await?;
    Ok(row.map(|row| row.get("date")))
}

/// Compaction is to put a file of these batches in the place of theirs.
pub(crate) async fn plan(client: &impl GenericClient, batches: Batches) -> anyhow::Result<()> {
    let sql = "insert into collector.lake_files (date, first_batch, last_batch) values ($1, $2, $3)";
    let statement = client.prepare_cached(sql).await?;
    client.execute(&statement, &[&batches.date, &to_sql(batches.first), &to_sql(batches.last)]).await?;
    Ok(())
}

/// Files that a larger one, which is in the store, has taken the place of: to be deleted.
pub(crate) async fn replaced(client: &impl GenericClient) -> anyhow::Result<Vec<Batches>> {
    let sql = "select small.date, small.first_batch, small.last_batch
               from collector.lake_files as large
               join collector.lake_files as small using (date)
               where large.written_at is not null and large.first_batch < large.last_batch
                   and small.first_batch >= large.first_batch and small.last_batch <= large.last_batch
                   and (small.first_batch, small.last_batch) <> (large.first_batch, large.last_batch)
               order by small.first_batch";
    let rows = client.query(&client.prepare_cached(sql).await?, &[]).await?;
    Ok(rows.iter().map(batches).collect())
}

/// All files that count: written, and not replaced by a larger one.
pub(crate) async fn current(client: &impl GenericClient) -> anyhow::Result<Vec<Written>> {
    let sql = "select date, first_batch, last_batch, rows, bytes from collector.lake_files as small
               where written_at is not null and not exists (
                   select from collector.lake_files as large
                   where large.date = small.date and large.written_at is not null
                       and large.first_batch <= small.first_batch and large.last_batch >= small.last_batch
                       and (large.first_batch, large.last_batch) <> (small.first_batch, small.last_batch)
               ) order by first_batch";
    client.query(&client.prepare_cached(sql).await?, &[]).await?.iter().map(written).collect()
}

/// The files that are to be compacted into one of these batches; without any, all of that day.
pub(crate) async fn within(
    client: &impl GenericClient,
    date: Date,
    range: Option<(u64, u64)>,
) -> anyhow::Result<Vec<Written>> {
    let (first, last) = range.map_or((0, i64::MAX), |(first, last)| (to_sql(first), to_sql(last)));
    let sql = "select date, first_batch, last_batch, rows, bytes from collector.lake_files
               where date = $1 and first_batch >= $2 and last_batch <= $3 and written_at is not null
               order by first_batch";
    let rows = client.query(&client.prepare_cached(sql).await?, &[&date, &first, &last]).await?;
    rows.iter().map(written).collect()
}

/// These files are deleted.
pub(crate) async fn forget(client: &impl GenericClient, batches: Batches) -> anyhow::Result<()> {
    let sql = "delete from collector.lake_files where date = $1 and first_batch = $2 and last_batch = $3";
    let statement = client.prepare_cached(sql).await?;
    client.execute(&statement, &[&batches.date, &to_sql(batches.first), &to_sql(batches.last)]).await?;
    Ok(())
}

/// For how many seconds the oldest sealed run waits to be in the tables; 0 if none does.
pub(crate) async fn lag_seconds(client: &impl GenericClient) -> anyhow::Result<f64> {
    let sql = "select coalesce(extract(epoch from clock_timestamp() - min(sealed_at)), 0)::float8 from (
                   select min(sealed_at) as sealed_at from collector.seals
                   where sealed_at is not null and evidence_key is not null and lake_batch is null
                   union all
                   select sealed_at from collector.lake_files join collector.seals on lake_batch = first_batch
                   where written_at is null and first_batch = last_batch
               ) as waiting";
    Ok(client.query_one(&client.prepare_cached(sql).await?, &[]).await?.get(0))
}

fn batches(row: &tokio_postgres::Row) -> Batches {
    Batches { date: row.get("date"), first: from_sql(row.get("first_batch")), last: from_sql(row.get("last_batch")) }
}

fn written(row: &tokio_postgres::Row) -> anyhow::Result<Written> {
    Ok(Written {
        batches: batches(row),
        rows: serde_json::from_value(row.get("rows")).context("rows of a file have an unknown shape")?,
        bytes: from_sql(row.get("bytes")),
    })
}
