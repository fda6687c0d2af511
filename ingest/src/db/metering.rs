//! Metering's functions: reserving slots, the plan and the usage of an organization. Its tables are out of reach.

use std::collections::BTreeMap;

use database::row::{DbError, execute, json, one, optional, optional_unsigned, rows, timestamp, unsigned, unsigned_32};
use database::{GenericClient, Row};
use schemas::Timestamp;
use schemas::artifact::ArtifactLimits;
use schemas::id::{OrgId, ProjectId, RunId};
use time::Date;

/// The answer to a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reserved {
    /// The caller publishes the job.
    Active,
    /// Metering publishes the job once a slot is free.
    Waiting,
    /// Nothing was reserved: the budget of the period is used up.
    QuotaExceeded,
    /// Nothing was reserved: too many runs of the organization wait for a slot.
    QueueFull,
}

#[derive(Debug)]
pub(crate) struct Reservation<'a> {
    pub run: &'a RunId,
    pub org: &'a OrgId,
    pub project: &'a ProjectId,
    pub routing_key: &'a str,
    pub job: &'a [u8],
    pub headers: &'a serde_json::Value,
}

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// `None` is no limit.
    pub requests_per_minute: Option<u32>,
    /// An absent bound is the executor's own.
    pub artifact_limits: ArtifactLimits,
}

/// Usage in the current period, with the limits of the plan. `None` is no limit.
#[derive(Debug)]
pub(crate) struct Usage {
    pub period_start: Date,
    pub period_end: Timestamp,
    pub concurrent_runs: Option<u32>,
    pub compute_unit_seconds_per_month: Option<u64>,
    pub active: u64,
    /// Thousandths of each meter's unit.
    pub totals: BTreeMap<String, f64>,
    pub pricing_version: String,
    pub compute_unit_seconds_per_credit: f64,
}

pub(crate) async fn reserve_run(client: &impl GenericClient, wanted: &Reservation<'_>) -> Result<Reserved, DbError> {
    let Reservation { run, org, project, routing_key, job, headers } = wanted;
    let sql = "select metering.reserve_run($1, $2, $3, $4, $5, $6) as granted";
    let row = one(client, sql, &[&run.as_str(), &org.as_str(), &project.as_str(), routing_key, job, headers]).await?;
    match row.try_get("granted")? {
        "active" => Ok(Reserved::Active),
        "waiting" => Ok(Reserved::Waiting),
        "quota_exceeded" => Ok(Reserved::QuotaExceeded),
        "queue_full" => Ok(Reserved::QueueFull),
        other => Err(DbError::Column { column: "granted", source: anyhow::anyhow!("unknown answer `{other}`") }),
    }
}

/// `None` when the organization has no account.
pub(crate) async fn plan_of(client: &impl GenericClient, org: &OrgId) -> Result<Option<Plan>, DbError> {
    let sql = "select requests_per_minute, metering.artifact_limits($1) as artifact_limits from metering.plan_of($1)";
    let Some(row) = optional(client, sql, &[&org.as_str()]).await? else { return Ok(None) };
    Ok(Some(Plan {
        requests_per_minute: limit_32(&row, "requests_per_minute")?,
        artifact_limits: json(&row, "artifact_limits")?,
    }))
}

/// Usage of the whole organization, or of some of its projects. An organization without an account has used nothing, and
/// nothing limits it.
pub(crate) async fn usage_summary(
    client: &impl GenericClient,
    org: &OrgId,
    only: Option<&[ProjectId]>,
) -> Result<Usage, DbError> {
    let sql = "select period_start, period_end, concurrent_runs, compute_unit_seconds_per_month, active, totals,
            pricing_version, compute_unit_seconds_per_credit
        from metering.usage_summary($1, $2)";
    let only: Option<Vec<&str>> = only.map(|ids| ids.iter().map(ProjectId::as_str).collect());
    let row = one(client, sql, &[&org.as_str(), &only]).await?;
    Ok(Usage {
        period_start: row.try_get("period_start")?,
        period_end: timestamp(&row, "period_end")?,
        concurrent_runs: limit_32(&row, "concurrent_runs")?,
        compute_unit_seconds_per_month: optional_unsigned(&row, "compute_unit_seconds_per_month")?,
        active: unsigned(&row, "active")?,
        totals: json(&row, "totals")?,
        pricing_version: row.try_get("pricing_version")?,
        compute_unit_seconds_per_credit: row.try_get("compute_unit_seconds_per_credit")?,
    })
}

/// The end of the current period, when budgets start over.
pub(crate) async fn period_end(client: &impl GenericClient) -> Result<Timestamp, DbError> {
    let sql = "select metering.period_end(metering.period_of(now())) as period_end";
    timestamp(&one(client, sql, &[]).await?, "period_end")
}

/// Opens the account of an organization, or moves it to another plan.
pub(crate) async fn open_account(client: &impl GenericClient, org: &OrgId, plan: &str) -> Result<(), DbError> {
    execute(client, "select metering.open_account($1, $2)", &[&org.as_str(), &plan]).await?;
    Ok(())
}

/// Sets the bounds of a plan for the artifacts of runs that are started from now on.
pub(crate) async fn set_artifact_limits(
    client: &impl GenericClient,
    plan: &str,
    limits: ArtifactLimits,
) -> Result<(), DbError> {
    let limits = serde_json::json!(limits);
    execute(client, "select metering.set_plan_artifact_limits($1, $2)", &[&plan, &limits]).await?;
    Ok(())
}

/// Lists the bounds of all plans.
pub(crate) async fn all_artifact_limits(
    client: &impl GenericClient,
) -> Result<BTreeMap<String, ArtifactLimits>, DbError> {
    let found = rows(client, "select name, artifact_limits from metering.all_plans()", &[]).await?;
    found.iter().map(|row| Ok((row.try_get("name")?, json(row, "artifact_limits")?))).collect()
}

/// Lists the names of plans, from the smallest to the largest.
pub(crate) async fn plan_names(client: &impl GenericClient) -> Result<Vec<String>, DbError> {
    let found = rows(client, "select name from metering.all_plans() order by concurrent_runs, name", &[]).await?;
    found.iter().map(|row| Ok(row.try_get("name")?)).collect()
}

fn limit_32(row: &Row, column: &'static str) -> Result<Option<u32>, DbError> {
    row.try_get::<_, Option<i32>>(column)?.map(|_| unsigned_32(row, column)).transpose()
}
