//! Metering's functions: reserving slots, the plan and the usage of an organization. Its tables are out of reach.

use std::collections::BTreeMap;

use database::GenericClient;
use database::row::{DbError, execute, json, one, optional, rows};
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
}

#[derive(Debug)]
pub(crate) struct Usage {
    pub period_start: Date,
    pub concurrent_runs: Option<i32>,
    pub compute_unit_seconds_per_month: Option<i64>,
    pub active: i64,
    /// Thousandths of each meter's unit.
    pub totals: BTreeMap<String, f64>,
}

impl Usage {
    pub(crate) fn none_since(period_start: Date) -> Self {
        let totals = BTreeMap::new();
        Self { period_start, concurrent_runs: None, compute_unit_seconds_per_month: None, active: 0, totals }
    }
}

pub(crate) async fn reserve_run(client: &impl GenericClient, wanted: &Reservation<'_>) -> Result<Reserved, DbError> {
    let Reservation { run, org, project, routing_key, job, headers } = wanted;
    let sql = "select metering.reserve_run($1, $2, $3, $4, $5, $6) as granted";
    let row = one(client, sql, &[&run.as_str(), &org.as_str(), &project.as_str(), routing_key, job, headers]).await?;
    match row.try_get("granted")? {
        "active" => Ok(Reserved::Active),
        "waiting" => Ok(Reserved::Waiting),
        "quota_exceeded" => Ok(Reserved::QuotaExceeded),
        other => Err(DbError::Column { column: "granted", source: anyhow::anyhow!("unknown answer `{other}`") }),
    }
}

/// `None` when the organization has no account.
pub(crate) async fn plan_of(client: &impl GenericClient, org: &OrgId) -> Result<Option<Plan>, DbError> {
    let sql = "select requests_per_minute from metering.plan_of($1)";
    let Some(row) = optional(client, sql, &[&org.as_str()]).await? else { return Ok(None) };
    let limit: Option<i32> = row.try_get("requests_per_minute")?;
    Ok(Some(Plan { requests_per_minute: limit.and_then(|limit| u32::try_from(limit).ok()) }))
}

/// `None` when the organization has no account.
pub(crate) async fn usage_summary(client: &impl GenericClient, org: &OrgId) -> Result<Option<Usage>, DbError> {
    let sql = "select period_start, concurrent_runs, compute_unit_seconds_per_month, active, totals
        from metering.usage_summary($1)";
    let Some(row) = optional(client, sql, &[&org.as_str()]).await? else { return Ok(None) };
    Ok(Some(Usage {
        period_start: row.try_get("period_start")?,
        concurrent_runs: row.try_get("concurrent_runs")?,
        compute_unit_seconds_per_month: row.try_get("compute_unit_seconds_per_month")?,
        active: row.try_get("active")?,
        totals: json(&row, "totals")?,
    }))
}

/// Opens the account of an organization, or moves it to another plan.
pub(crate) async fn open_account(client: &impl GenericClient, org: &OrgId, plan: &str) -> Result<(), DbError> {
    execute(client, "select metering.open_account($1, $2)", &[&org.as_str(), &plan]).await?;
    Ok(())
}

/// Lists the names of plans, from the smallest to the largest.
pub(crate) async fn plan_names(client: &impl GenericClient) -> Result<Vec<String>, DbError> {
    let found = rows(client, "select name from metering.plans order by concurrent_runs, name", &[]).await?;
    found.iter().map(|row| Ok(row.try_get("name")?)).collect()
}
