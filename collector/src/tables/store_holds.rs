//! `collector.store_holds`: runs whose objects in the store have a legal hold, are to get one, or to lose it.

use std::time::Duration;

use database::{Error, GenericClient};

/// A run whose objects are to be looked at. It is the caller's until its transaction ends; setting or clearing a hold of it
/// waits for that.
#[derive(Debug)]
pub(crate) struct Due {
    pub run_id: String,
    /// Of its objects in the store.
    pub folder: String,
    /// Whether they should have a hold.
    pub held: bool,
}

/// Remembers that objects of these runs may have a hold from now on, before one gets it: so it is taken off in the end,
/// whatever happens between.
pub(crate) async fn announce(client: &impl GenericClient, limit: i64) -> Result<u64, Error> {
    let sql = "update collector.store_holds set in_store = true
               where run_id in (
                   select run_id from collector.store_holds where due_at <= now() and not in_store
                   order by due_at limit $1 for update skip locked)";
    client.execute(&client.prepare_cached(sql).await?, &[&limit]).await
}

pub(crate) async fn lock_due(client: &impl GenericClient, limit: i64) -> Result<Vec<Due>, Error> {
    let sql = "select run_id from collector.store_holds where due_at <= now() and in_store
               order by due_at limit $1 for update skip locked";
    let rows = client.query(&client.prepare_cached(sql).await?, &[&limit]).await?;
    let runs: Vec<String> = rows.iter().map(|row| row.get("run_id")).collect();
    // A statement of its own, which sees all that was set and cleared until the rows were locked.
    let sql = "select run_id, folder, collector.is_held(run_id, project_id) as held
               from collector.store_holds where run_id = any($1)";
    let rows = client.query(&client.prepare_cached(sql).await?, &[&runs]).await?;
    let due =
        |row: &tokio_postgres::Row| Due { run_id: row.get("run_id"), folder: row.get("folder"), held: row.get("held") };
    Ok(rows.iter().map(due).collect())
}

/// All objects of these runs have their hold.
pub(crate) async fn set(client: &impl GenericClient, runs: &[&str]) -> Result<(), Error> {
    let sql = "update collector.store_holds set due_at = null where run_id = any($1)";
    client.execute(&client.prepare_cached(sql).await?, &[&runs]).await.map(drop)
}

/// No object of these runs has one any more.
pub(crate) async fn cleared(client: &impl GenericClient, runs: &[&str]) -> Result<(), Error> {
    let sql = "delete from collector.store_holds where run_id = any($1)";
    client.execute(&client.prepare_cached(sql).await?, &[&runs]).await.map(drop)
}

pub(crate) async fn postpone(client: &impl GenericClient, runs: &[&str], by: Duration) -> Result<(), Error> {
    let sql = "update collector.store_holds set due_at = clock_timestamp() + make_interval(secs => $2)
               where run_id = any($1)";
    client.execute(&client.prepare_cached(sql).await?, &[&runs, &by.as_secs_f64()]).await.map(drop)
}

/// Runs whose objects have not yet got the hold that they should have, or not yet lost it.
#[derive(Debug)]
pub(crate) struct Pending {
    pub runs: i64,
    pub oldest_seconds: f64,
}

pub(crate) async fn pending(client: &impl GenericClient) -> Result<Pending, Error> {
    let sql = "select count(*) as runs,
                   coalesce(extract(epoch from clock_timestamp() - min(changed_at)), 0)::float8 as oldest
               from collector.store_holds where due_at is not null";
    let row = client.query_one(&client.prepare_cached(sql).await?, &[]).await?;
    Ok(Pending { runs: row.get("runs"), oldest_seconds: row.get("oldest") })
}
