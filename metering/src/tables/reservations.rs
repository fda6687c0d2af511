//! `metering.reservations`: the runs that hold a slot of their project, or wait for one in order.

use std::collections::BTreeSet;

use database::OutboxMessage;
use database::{Error, GenericClient};
use infra::amqp::Target;

/// A project with its organization, whose plan has the limit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Project {
    pub org_id: String,
    pub project_id: String,
}

/// Frees the slots of ended runs; returns their projects.
pub(crate) async fn release(client: &impl GenericClient, runs: &[&str]) -> Result<BTreeSet<Project>, Error> {
    let sql = "delete from metering.reservations where run_id = any($1) returning org_id, project_id";
    let rows = client.query(&client.prepare_cached(sql).await?, &[&runs]).await?;
    Ok(rows.iter().map(|row| Project { org_id: row.get(0), project_id: row.get(1) }).collect())
}

/// Gives free slots to the runs that waited longest; returns their jobs. Exact: the project is locked meanwhile.
pub(crate) async fn admit(client: &impl GenericClient, project: &Project) -> Result<Vec<OutboxMessage>, Error> {
    let sql = "select not exists (
                   select from metering.accounts join metering.plans on plans.name = accounts.plan
                   where accounts.org_id = $1 and plans.concurrent_runs is not null)
               and not exists (select from metering.reservations where project_id = $2 and state = 'waiting')";
    let nothing = client.query_one(&client.prepare_cached(sql).await?, &[&project.org_id, &project.project_id]).await?;
    if nothing.get(0) {
        return Ok(Vec::new());
    }
    // With a limit the lock is taken in any case: a run that is being reserved right now has counted the slot
    // that was just freed, and is visible only after its transaction, which holds the lock, has ended.
    let sql = "select metering.lock_project($1)";
    client.execute(&client.prepare_cached(sql).await?, &[&project.project_id]).await?;
    let sql = "with next as (
                   select run_id from metering.reservations where project_id = $1 and state = 'waiting'
                   order by position
                   limit case when metering.concurrency_limit($2) is not null then greatest(0,
                       metering.concurrency_limit($2) - (select count(*) from metering.reservations
                           where project_id = $1 and state = 'active')) end)
               update metering.reservations set state = 'active' from next
               where reservations.run_id = next.run_id
               returning reservations.position, routing_key, job, headers";
    let mut rows = client.query(&client.prepare_cached(sql).await?, &[&project.project_id, &project.org_id]).await?;
    rows.sort_by_key(|row| row.get::<_, i64>("position"));
    Ok(rows
        .iter()
        .map(|row| {
            let target = Target { exchange: String::new(), routing_key: row.get("routing_key") };
            let traceparent = row.get::<_, serde_json::Value>("headers")["traceparent"].as_str().map(str::to_owned);
            OutboxMessage::json(target, row.get::<_, Vec<u8>>("job"), traceparent)
        })
        .collect())
}

/// Takes the project's waiting runs out of the line if the organization has used up what its plan includes in this period;
/// returns them with their trace contexts. The project is locked meanwhile, so that none of them is admitted.
pub(crate) async fn give_up(
    client: &impl GenericClient,
    project: &Project,
) -> Result<Vec<(String, Option<String>)>, Error> {
    let sql = "select exists (
                   select from metering.accounts join metering.plans on plans.name = accounts.plan
                   where accounts.org_id = $1 and compute_unit_seconds_per_month * 1000 <= (
                       select coalesce(sum(quantity_millis), 0) from metering.totals
                       where org_id = $1 and period = metering.period_of(now()) and meter = 'compute_unit_seconds'))
               and exists (select from metering.reservations where project_id = $2 and state = 'waiting')";
    let gone = client.query_one(&client.prepare_cached(sql).await?, &[&project.org_id, &project.project_id]).await?;
    if !gone.get::<_, bool>(0) {
        return Ok(Vec::new());
    }
    let sql = "select metering.lock_project($1)";
    client.execute(&client.prepare_cached(sql).await?, &[&project.project_id]).await?;
    let sql = "delete from metering.reservations where project_id = $1 and state = 'waiting' returning run_id, headers";
    let rows = client.query(&client.prepare_cached(sql).await?, &[&project.project_id]).await?;
    let traceparent = |headers: serde_json::Value| headers["traceparent"].as_str().map(str::to_owned);
    Ok(rows.iter().map(|row| (row.get("run_id"), traceparent(row.get("headers")))).collect())
}

pub(crate) async fn projects_waiting(client: &impl GenericClient) -> Result<BTreeSet<Project>, Error> {
    let sql = "select distinct org_id, project_id from metering.reservations where state = 'waiting'";
    let rows = client.query(&client.prepare_cached(sql).await?, &[]).await?;
    Ok(rows.iter().map(|row| Project { org_id: row.get(0), project_id: row.get(1) }).collect())
}

/// Active and waiting runs of everybody.
pub(crate) async fn count(client: &impl GenericClient) -> Result<(i64, i64), Error> {
    let sql = "select count(*) filter (where state = 'active'), count(*) filter (where state = 'waiting')
               from metering.reservations";
    let row = client.query_one(&client.prepare_cached(sql).await?, &[]).await?;
    Ok((row.get(0), row.get(1)))
}
