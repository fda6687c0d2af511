//! Table `ingest.egress_policies`: the destinations that runs of a project may reach. A project without a row has no egress.

use database::GenericClient;
use database::row::{DbError, execute, optional, parsed, rows, timestamp};
use schemas::Timestamp;
use schemas::egress::{EgressPolicy, EgressRule};
use schemas::id::{OrgId, ProjectId};
use tokio_postgres::Row;

/// A project's policy, as operators see it.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectEgress {
    pub project_id: ProjectId,
    pub org_id: OrgId,
    pub allow: Vec<EgressRule>,
    pub changed_at: Timestamp,
}

pub(crate) async fn find(
    client: &impl GenericClient,
    org: &OrgId,
    project: &ProjectId,
) -> Result<Option<EgressPolicy>, DbError> {
    let sql = "select allow from ingest.egress_policies join ingest.projects on id = project_id
        where org_id = $1 and project_id = $2";
    let found = optional(client, sql, &[&org.as_str(), &project.as_str()]).await?;
    found.map(|row| Ok(EgressPolicy { allow: rules(&row)? })).transpose()
}

/// Sets a policy; `None` if the project does not exist.
pub(crate) async fn set(
    client: &impl GenericClient,
    project: &ProjectId,
    allow: &[EgressRule],
) -> Result<Option<ProjectEgress>, DbError> {
    let sql = "with changed as (
            insert into ingest.egress_policies (project_id, allow) select id, $2 from ingest.projects where id = $1
            on conflict (project_id) do update set allow = excluded.allow, changed_at = now()
            returning project_id, allow, changed_at
        )
        select project_id, org_id, allow, changed_at from changed join ingest.projects on id = project_id";
    let texts: Vec<String> = allow.iter().map(ToString::to_string).collect();
    let changed = optional(client, sql, &[&project.as_str(), &texts]).await?;
    changed.map(|row| policy(&row)).transpose()
}

/// Removes a policy, and says whether there was one.
pub(crate) async fn remove(client: &impl GenericClient, project: &ProjectId) -> Result<bool, DbError> {
    let sql = "delete from ingest.egress_policies where project_id = $1";
    Ok(execute(client, sql, &[&project.as_str()]).await? > 0)
}

/// Lists the policies of all projects or of one, the last changed first.
pub(crate) async fn all(client: &impl GenericClient, only: Option<&ProjectId>) -> Result<Vec<ProjectEgress>, DbError> {
    let sql = "select project_id, org_id, allow, changed_at
        from ingest.egress_policies join ingest.projects on id = project_id
        where $1::text is null or project_id = $1
        order by changed_at desc, project_id";
    rows(client, sql, &[&only.map(ProjectId::as_str)]).await?.iter().map(policy).collect()
}

fn policy(row: &Row) -> Result<ProjectEgress, DbError> {
    Ok(ProjectEgress {
        project_id: parsed(row, "project_id")?,
        org_id: parsed(row, "org_id")?,
        allow: rules(row)?,
        changed_at: timestamp(row, "changed_at")?,
    })
}

fn rules(row: &Row) -> Result<Vec<EgressRule>, DbError> {
    let texts: Vec<String> = row.try_get("allow")?;
    let parsed: Result<_, _> = texts.iter().map(|text| text.parse()).collect();
    parsed.map_err(|error: schemas::egress::InvalidRule| DbError::Column { column: "allow", source: error.into() })
}
