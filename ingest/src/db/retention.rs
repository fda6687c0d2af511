//! Retention of artifacts: the collector's policies of projects and metering's policies of plans, by their functions.

use database::GenericClient;
use database::row::{DbError, execute, parsed, rows, timestamp, unsigned};
use schemas::Timestamp;
use schemas::id::{OrgId, ProjectId};

/// A project with a policy of its own, as operators see it.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectRetention {
    pub project_id: ProjectId,
    pub org_id: OrgId,
    pub artifact_seconds: u64,
    pub changed_at: Timestamp,
}

/// A plan, as operators see it.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanRetention {
    pub plan: String,
    pub artifact_seconds: u64,
}

/// Sets a project's own retention; `None` returns it to its plan's.
pub(crate) async fn set_project(
    client: &impl GenericClient,
    project: &ProjectId,
    seconds: Option<i64>,
) -> Result<(), DbError> {
    execute(client, "select collector.set_artifact_retention($1, $2)", &[&project.as_str(), &seconds]).await.map(drop)
}

/// Lists the projects with their own retention, the last changed first.
pub(crate) async fn of_projects(client: &impl GenericClient) -> Result<Vec<ProjectRetention>, DbError> {
    let sql = "select project_id, org_id, artifact_seconds, changed_at
        from collector.retention_policies join ingest.projects on id = project_id
        order by changed_at desc, project_id";
    let found = rows(client, sql, &[]).await?;
    found
        .iter()
        .map(|row| {
            Ok(ProjectRetention {
                project_id: parsed(row, "project_id")?,
                org_id: parsed(row, "org_id")?,
                artifact_seconds: unsigned(row, "artifact_seconds")?,
                changed_at: timestamp(row, "changed_at")?,
            })
        })
        .collect()
}

/// Lists all plans, the shortest retention first.
pub(crate) async fn of_plans(client: &impl GenericClient) -> Result<Vec<PlanRetention>, DbError> {
    let sql = "select name, retention_days * 86400::int8 as artifact_seconds from metering.plans
        order by retention_days, name";
    let found = rows(client, sql, &[]).await?;
    let plan = |row: &tokio_postgres::Row| {
        Ok(PlanRetention { plan: row.try_get("name")?, artifact_seconds: unsigned(row, "artifact_seconds")? })
    };
    found.iter().map(plan).collect()
}

pub(crate) async fn set_plan(client: &impl GenericClient, plan: &str, days: i32) -> Result<(), DbError> {
    execute(client, "select metering.set_plan_retention($1, $2)", &[&plan, &days]).await.map(drop)
}
