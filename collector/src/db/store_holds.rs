//! `collector.store_holds`: queues runs whose objects in the store have a legal hold, are to get one, or are to lose
//! it.

use std::time::Duration;

use database::{GenericClient, Row};
use schemas::id::RunId;

use super::{DbError, execute, one, parsed, rows};

/// A run whose objects are due. The row is locked until the caller's transaction ends; whoever sets or clears a hold of
/// the run waits for that.
#[derive(Debug)]
pub(crate) struct Due {
    pub run_id: RunId,
    /// The folder of the run's objects in the store.
    pub folder: String,
    /// The objects should have a hold.
    pub held: bool,
}

/// Notes that objects of these runs may have a hold from now on, before one gets it. So the hold is taken off in the
/// end, whatever happens between.
pub(crate) async fn announce(client: &impl GenericClient, limit: i64) -> Result<u64, DbError> {
    let sql = "update collector.store_holds set in_store = true
               where run_id in (
                   select run_id from collector.store_holds where due_at <= now() and not in_store
                   order by due_at limit $1 for update skip locked)";
    execute(client, sql, &[&limit]).await
}

pub(crate) async fn lock_due(client: &impl GenericClient, limit: i64) -> Result<Vec<Due>, DbError> {
    let sql = "select run_id from collector.store_holds where due_at <= now() and in_store
               order by due_at limit $1 for update skip locked";
    let locked = rows(client, sql, &[&limit]).await?;
    let runs: Vec<&str> = locked.iter().map(|row| row.try_get("run_id")).collect::<Result<_, _>>()?;
    // A statement of its own, which sees all that was set and cleared until the rows were locked.
    let sql = "select run_id, folder, collector.is_held(run_id, project_id) as held
               from collector.store_holds where run_id = any($1)";
    let due = |row: &Row| {
        Ok(Due { run_id: parsed(row, "run_id")?, folder: row.try_get("folder")?, held: row.try_get("held")? })
    };
    rows(client, sql, &[&runs]).await?.iter().map(due).collect()
}

/// Notes that all objects of these runs have their hold.
pub(crate) async fn set(client: &impl GenericClient, runs: &[&str]) -> Result<(), DbError> {
    let sql = "update collector.store_holds set due_at = null where run_id = any($1)";
    execute(client, sql, &[&runs]).await.map(drop)
}

/// Notes that no object of these runs has a hold any more.
pub(crate) async fn cleared(client: &impl GenericClient, runs: &[&str]) -> Result<(), DbError> {
    let sql = "delete from collector.store_holds where run_id = any($1)";
    execute(client, sql, &[&runs]).await.map(drop)
}

pub(crate) async fn postpone(client: &impl GenericClient, runs: &[&str], by: Duration) -> Result<(), DbError> {
    let sql = "update collector.store_holds set due_at = clock_timestamp() + make_interval(secs => $2)
               where run_id = any($1)";
    execute(client, sql, &[&runs, &by.as_secs_f64()]).await.map(drop)
}

/// The backlog: runs whose objects have not yet got, or not yet lost, their hold.
#[derive(Debug)]
pub(crate) struct Pending {
    pub runs: i64,
    pub oldest_seconds: f64,
}

pub(crate) async fn pending(client: &impl GenericClient) -> Result<Pending, DbError> {
    let sql = "select count(*) as runs,
                   coalesce(extract(epoch from clock_timestamp() - min(changed_at)), 0)::float8 as oldest
               from collector.store_holds where due_at is not null";
    let row = one(client, sql, &[]).await?;
    Ok(Pending { runs: row.try_get("runs")?, oldest_seconds: row.try_get("oldest")? })
}
