//! Table `ingest.organizations`: the tenants.

use database::GenericClient;
use database::row::{DbError, execute, one, optional, parsed, rows, timestamp};
use schemas::Timestamp;
use schemas::id::OrgId;
use serde::Serialize;

/// A tenant, as operators see it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Organization {
    pub id: OrgId,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    pub created_at: Timestamp,
}

pub(crate) async fn insert(client: &impl GenericClient, org: &OrgId, name: &str) -> Result<(), DbError> {
    execute(client, "insert into ingest.organizations (id, name) values ($1, $2)", &[&org.as_str(), &name]).await?;
    Ok(())
}

pub(crate) async fn exists(client: &impl GenericClient, org: &OrgId) -> Result<bool, DbError> {
    let sql = "select exists (select from ingest.organizations where id = $1)";
    Ok(one(client, sql, &[&org.as_str()]).await?.try_get(0)?)
}

/// Serializes whatever counts things of the organization before it adds one, until the transaction ends.
pub(crate) async fn lock(client: &impl GenericClient, org: &OrgId) -> Result<(), DbError> {
    // Not `for update`: rows that refer to the organization may still be inserted.
    let sql = "select from ingest.organizations where id = $1 for no key update";
    optional(client, sql, &[&org.as_str()]).await.map(drop)
}

/// Lists all organizations, newest first.
pub(crate) async fn all(client: &impl GenericClient) -> Result<Vec<Organization>, DbError> {
    let sql = "select organizations.id, name, plan, created_at
        from ingest.organizations left join lateral metering.plan_of(organizations.id) as account on true
        order by created_at desc, organizations.id desc";
    let organization = |row: &tokio_postgres::Row| {
        Ok(Organization {
            id: parsed(row, "id")?,
            name: row.try_get("name")?,
            plan: row.try_get("plan")?,
            created_at: timestamp(row, "created_at")?,
        })
    };
    rows(client, sql, &[]).await?.iter().map(organization).collect()
}
