//! `metering.reservations`: the runs that hold a slot of their organization, or wait for one in order.

use std::collections::BTreeSet;

use database::row::{DbError, execute, json, one, parsed, rows};
use database::{GenericClient, OutboxMessage, Row};
use infra::amqp::Target;
use schemas::id::{OrgId, RunId};
use serde::Deserialize;

/// A run that leaves the queue without a slot.
#[derive(Debug)]
pub(crate) struct Removed {
    pub run_id: RunId,
    pub traceparent: Option<String>,
}

/// Runs of all organizations.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count {
    pub active: i64,
    pub waiting: i64,
}

/// The column `headers`.
#[derive(Debug, Deserialize)]
struct Headers {
    traceparent: Option<String>,
}

/// Frees the slots of ended runs; returns their organizations.
pub(crate) async fn release(client: &impl GenericClient, runs: &[&RunId]) -> Result<BTreeSet<OrgId>, DbError> {
    let runs: Vec<&str> = runs.iter().map(|run| run.as_str()).collect();
    let sql = "delete from metering.reservations where run_id = any($1) returning org_id";
    rows(client, sql, &[&runs]).await?.iter().map(|row| parsed(row, "org_id")).collect()
}

/// Serializes everything that counts or changes the slots of the organization, until the transaction ends.
pub(crate) async fn lock(client: &impl GenericClient, org: &OrgId) -> Result<(), DbError> {
    execute(client, "select metering.lock_organization($1)", &[&org.as_str()]).await.map(drop)
}

/// False when the organization is without a limit and none of its runs waits.
pub(crate) async fn may_admit(client: &impl GenericClient, org: &OrgId) -> Result<bool, DbError> {
    let sql = "select metering.concurrency_limit($1) is not null or exists (
                   select from metering.reservations where org_id = $1 and state = 'waiting') as may_admit";
    Ok(one(client, sql, &[&org.as_str()]).await?.try_get("may_admit")?)
}

/// Gives free slots to the runs that waited longest; returns their jobs. The caller has locked the organization.
pub(crate) async fn admit(client: &impl GenericClient, org: &OrgId) -> Result<Vec<OutboxMessage>, DbError> {
    let sql = "with next as (
                   select run_id from metering.reservations where org_id = $1 and state = 'waiting'
                   order by position limit metering.free_slots($1)
               ), admitted as (
                   update metering.reservations set state = 'active' from next
                   where reservations.run_id = next.run_id
                   returning reservations.run_id, reservations.position, routing_key, job, headers
               )
                select run_id, routing_key, job, headers from admitted order by position";
    let admitted = rows(client, sql, &[&org.as_str()]).await?;
    let job = |row: &Row| {
        let target = Target { exchange: String::new(), routing_key: row.try_get("routing_key")? };
        let headers: Headers = json(row, "headers")?;
        let run: RunId = parsed(row, "run_id")?;
        Ok(OutboxMessage::json(target, row.try_get::<_, Vec<u8>>("job")?, &run, headers.traceparent))
    };
    admitted.iter().map(job).collect()
}

/// True when runs of the organization wait though it has used up its budget.
pub(crate) async fn wait_in_vain(client: &impl GenericClient, org: &OrgId) -> Result<bool, DbError> {
    let sql = "select case when exists (
                   select from metering.reservations where org_id = $1 and state = 'waiting')
               then metering.budget_is_spent($1) else false end as in_vain";
    Ok(one(client, sql, &[&org.as_str()]).await?.try_get("in_vain")?)
}

/// Takes all waiting runs of the organization out of the queue. The caller has locked the organization.
pub(crate) async fn remove_waiting(client: &impl GenericClient, org: &OrgId) -> Result<Vec<Removed>, DbError> {
    let sql = "delete from metering.reservations where org_id = $1 and state = 'waiting' returning run_id, headers";
    let removed = |row: &Row| {
        let headers: Headers = json(row, "headers")?;
        Ok(Removed { run_id: parsed(row, "run_id")?, traceparent: headers.traceparent })
    };
    rows(client, sql, &[&org.as_str()]).await?.iter().map(removed).collect()
}

pub(crate) async fn organizations_waiting(client: &impl GenericClient) -> Result<BTreeSet<OrgId>, DbError> {
    let sql = "select distinct org_id from metering.reservations where state = 'waiting'";
    rows(client, sql, &[]).await?.iter().map(|row| parsed(row, "org_id")).collect()
}

pub(crate) async fn count(client: &impl GenericClient) -> Result<Count, DbError> {
    let sql = "select count(*) filter (where state = 'active') as active,
                   count(*) filter (where state = 'waiting') as waiting
               from metering.reservations";
    let row = one(client, sql, &[]).await?;
    Ok(Count { active: row.try_get("active")?, waiting: row.try_get("waiting")? })
}
