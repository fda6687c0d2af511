//! Table `ingest.projects`: the projects of an organization, to which its runs belong.

use database::GenericClient;
use database::row::{DbError, execute, one, optional, parsed, rows, timestamp};
use schemas::api::project::Project;
use schemas::id::{OrgId, ProjectId};
use tokio_postgres::Row;

use crate::db::page::{Cursor, Page};

const COLUMNS: &str = "id, org_id, name, created_at";

pub(crate) async fn insert(client: &impl GenericClient, org: &OrgId, name: &str) -> Result<Project, DbError> {
    let id = ProjectId::new();
    let sql = format!("insert into ingest.projects (id, org_id, name) values ($1, $2, $3) returning {COLUMNS}");
    project(&one(client, &sql, &[&id.as_str(), &org.as_str(), &name]).await?)
}

pub(crate) async fn count(client: &impl GenericClient, org: &OrgId) -> Result<i64, DbError> {
    Ok(one(client, "select count(*) from ingest.projects where org_id = $1", &[&org.as_str()]).await?.try_get(0)?)
}

/// Inserts the project of runs that name none; every organization has exactly one.
pub(crate) async fn insert_default(client: &impl GenericClient, org: &OrgId, id: &ProjectId) -> Result<(), DbError> {
    let sql = "insert into ingest.projects (id, org_id, name, is_default) values ($1, $2, 'Default', true)";
    execute(client, sql, &[&id.as_str(), &org.as_str()]).await?;
    Ok(())
}

pub(crate) async fn default_of(client: &impl GenericClient, org: &OrgId) -> Result<Option<ProjectId>, DbError> {
    let sql = "select id from ingest.projects where org_id = $1 and is_default";
    optional(client, sql, &[&org.as_str()]).await?.map(|row| parsed(&row, "id")).transpose()
}

pub(crate) async fn exists(client: &impl GenericClient, org: &OrgId, id: &ProjectId) -> Result<bool, DbError> {
    let sql = "select 1 from ingest.projects where org_id = $1 and id = $2";
    Ok(optional(client, sql, &[&org.as_str(), &id.as_str()]).await?.is_some())
}

/// Says whether the project exists in any organization.
pub(crate) async fn is_known(client: &impl GenericClient, id: &ProjectId) -> Result<bool, DbError> {
    Ok(optional(client, "select 1 from ingest.projects where id = $1", &[&id.as_str()]).await?.is_some())
}

/// Newest first; one more than the page holds, if there is one. `only` is what a limited key may see.
pub(crate) async fn list(
    client: &impl GenericClient,
    org: &OrgId,
    only: Option<&[ProjectId]>,
    page: &Page,
) -> Result<Vec<(Project, Cursor)>, DbError> {
    let sql = format!(
        "select {COLUMNS} from ingest.projects
         where org_id = $1 and ($2::text[] is null or id = any ($2))
           and ($3::timestamptz is null or (created_at, id) < ($3, $4::text))
         order by created_at desc, id desc limit $5"
    );
    let only: Option<Vec<&str>> = only.map(|ids| ids.iter().map(ProjectId::as_str).collect());
    let (at, id) = page.after();
    let found = rows(client, &sql, &[&org.as_str(), &only, &at, &id, &page.one_more()]).await?;
    found.iter().map(|row| Ok((project(row)?, Cursor::of(row)?))).collect()
}

fn project(row: &Row) -> Result<Project, DbError> {
    Ok(Project {
        id: parsed(row, "id")?,
        org_id: parsed(row, "org_id")?,
        name: row.try_get("name")?,
        created_at: timestamp(row, "created_at")?,
    })
}
