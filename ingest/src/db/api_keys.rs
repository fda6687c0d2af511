//! Table `ingest.api_keys`: the keys and their scopes. Of a key itself only the SHA-256 is stored.

use database::GenericClient;
use database::row::{DbError, execute, optional, optional_timestamp, parsed, rows, timestamp};
use schemas::api::key::ApiKey;
use schemas::id::{ApiKeyId, OrgId, ProjectId};
use schemas::scope::Scope;
use time::OffsetDateTime;
use tokio_postgres::Row;

use crate::db::page::{Cursor, Page};

const COLUMNS: &str = "id, org_id, name, prefix, last4, project_ids, scopes, created_by_user_id, created_at, \
                       revoked_at, last_used_at";

/// The condition that a key has no scope and no project that the bounds lack. A scope of a later version is in no bounds.
const WITHIN: &str = "scopes <@ $2 and ($3::text[] is null or project_ids <@ $3)";

/// The rights that a caller has. It acts on keys within them only, as if it had to make those keys.
#[derive(Debug)]
pub(crate) struct Bounds<'a> {
    pub scopes: Vec<&'a str>,
    /// `None`: all projects.
    pub projects: Option<Vec<&'a str>>,
}

pub(crate) async fn insert(client: &impl GenericClient, key: &ApiKey, sha256: &[u8]) -> Result<(), DbError> {
    let sql = "insert into ingest.api_keys
            (id, org_id, name, prefix, last4, sha256, scopes, project_ids, created_by_user_id, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    let projects: Option<Vec<&str>> = key.project_ids.as_ref().map(|ids| ids.iter().map(ProjectId::as_str).collect());
    execute(
        client,
        sql,
        &[
            &key.id.as_str(),
            &key.org_id.as_str(),
            &key.name,
            &key.prefix,
            &key.last4,
            &sha256,
            &scopes,
            &projects,
            &key.created_by_user_id.as_str(),
            &key.created_at.into_inner(),
        ],
    )
    .await?;
    Ok(())
}

/// Finds the key with this digest, unless it is revoked. No tenant limits this query: it finds the tenant.
pub(crate) async fn find_active(client: &impl GenericClient, sha256: &[u8]) -> Result<Option<ApiKey>, DbError> {
    let sql = format!("select {COLUMNS} from ingest.api_keys where sha256 = $1 and revoked_at is null");
    optional(client, &sql, &[&sha256]).await?.map(|row| api_key(&row)).transpose()
}

pub(crate) async fn find(
    client: &impl GenericClient,
    org: &OrgId,
    bounds: &Bounds<'_>,
    id: &ApiKeyId,
) -> Result<Option<ApiKey>, DbError> {
    let sql = format!("select {COLUMNS} from ingest.api_keys where org_id = $1 and {WITHIN} and id = $4");
    let Bounds { scopes, projects } = bounds;
    optional(client, &sql, &[&org.as_str(), scopes, projects, &id.as_str()]).await?.map(|row| api_key(&row)).transpose()
}

/// Newest first; one more than the page holds, if there is one.
pub(crate) async fn list(
    client: &impl GenericClient,
    org: &OrgId,
    bounds: &Bounds<'_>,
    page: &Page,
) -> Result<Vec<(ApiKey, Cursor)>, DbError> {
    let sql = format!(
        "select {COLUMNS} from ingest.api_keys
         where org_id = $1 and {WITHIN} and ($4::timestamptz is null or (created_at, id) < ($4, $5::text))
         order by created_at desc, id desc limit $6"
    );
    let Bounds { scopes, projects } = bounds;
    let (at, id) = page.after();
    let found = rows(client, &sql, &[&org.as_str(), scopes, projects, &at, &id, &page.one_more()]).await?;
    found.iter().map(|row| Ok((api_key(row)?, Cursor::of(row)?))).collect()
}

/// Revoking twice keeps the first time.
pub(crate) async fn revoke(
    client: &impl GenericClient,
    org: &OrgId,
    bounds: &Bounds<'_>,
    id: &ApiKeyId,
) -> Result<Option<ApiKey>, DbError> {
    let sql = format!(
        "update ingest.api_keys set revoked_at = coalesce(revoked_at, now())
         where org_id = $1 and {WITHIN} and id = $4 returning {COLUMNS}"
    );
    let Bounds { scopes, projects } = bounds;
    optional(client, &sql, &[&org.as_str(), scopes, projects, &id.as_str()]).await?.map(|row| api_key(&row)).transpose()
}

/// Revokes a key of any organization, for operators.
pub(crate) async fn revoke_any(client: &impl GenericClient, id: &ApiKeyId) -> Result<Option<ApiKey>, DbError> {
    let sql = format!(
        "update ingest.api_keys set revoked_at = coalesce(revoked_at, now()) where id = $1 returning {COLUMNS}"
    );
    optional(client, &sql, &[&id.as_str()]).await?.map(|row| api_key(&row)).transpose()
}

/// Lists all keys of an organization, newest first.
pub(crate) async fn all(client: &impl GenericClient, org: &OrgId) -> Result<Vec<ApiKey>, DbError> {
    let sql = format!("select {COLUMNS} from ingest.api_keys where org_id = $1 order by created_at desc, id desc");
    rows(client, &sql, &[&org.as_str()]).await?.iter().map(api_key).collect()
}

/// Records the latest use of many keys at once.
pub(crate) async fn record_uses(
    client: &impl GenericClient,
    uses: &[(ApiKeyId, OffsetDateTime)],
) -> Result<(), DbError> {
    let sql = "update ingest.api_keys set last_used_at = used.at
        from unnest($1::text[], $2::timestamptz[]) as used (id, at)
        where api_keys.id = used.id and (last_used_at is null or last_used_at < used.at)";
    let ids: Vec<&str> = uses.iter().map(|(id, _)| id.as_str()).collect();
    let times: Vec<OffsetDateTime> = uses.iter().map(|(_, at)| *at).collect();
    execute(client, sql, &[&ids, &times]).await?;
    Ok(())
}

fn api_key(row: &Row) -> Result<ApiKey, DbError> {
    let scopes: Vec<String> = row.try_get("scopes")?;
    let projects: Option<Vec<String>> = row.try_get("project_ids")?;
    let projects = projects.map(|ids| ids.into_iter().map(ProjectId::try_from).collect::<Result<Vec<_>, _>>());
    Ok(ApiKey {
        id: parsed(row, "id")?,
        org_id: parsed(row, "org_id")?,
        name: row.try_get("name")?,
        prefix: row.try_get("prefix")?,
        last4: row.try_get("last4")?,
        project_ids: projects
            .transpose()
            .map_err(|error| DbError::Column { column: "project_ids", source: error.into() })?,
        // A scope of a later version grants nothing here, and must not lock the key out of the rest.
        scopes: scopes.iter().filter_map(|word| word.parse::<Scope>().ok()).collect(),
        created_by_user_id: parsed(row, "created_by_user_id")?,
        created_at: timestamp(row, "created_at")?,
        revoked_at: optional_timestamp(row, "revoked_at")?,
        last_used_at: optional_timestamp(row, "last_used_at")?,
    })
}
