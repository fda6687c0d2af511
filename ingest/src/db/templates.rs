//! Table `ingest.templates`: the root file systems of sandboxes. `offered` reads them as clients see them.

pub(crate) mod offered;

use database::GenericClient;
use database::row::{DbError, execute, one, optional, optional_json, parsed, rows, timestamp};
use schemas::Timestamp;
use schemas::id::{TemplateId, TemplateVersionId};
use schemas::message::{RootFs, TemplateRef};
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

/// A version of a template, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TemplateVersion {
    pub id: TemplateId,
    pub slug: String,
    pub version: String,
    pub version_id: TemplateVersionId,
    /// Runs that name no version get this one.
    pub is_current: bool,
    pub created_at: Timestamp,
    /// Absent for the `/usr` of the executor's host.
    #[serde(flatten)]
    pub root_fs: Option<RootFs>,
}

/// A version to insert, which may exist already.
#[derive(Debug)]
pub(crate) struct NewVersion<'a> {
    pub version_id: TemplateVersionId,
    pub slug: &'a str,
    pub version: &'a str,
    pub root_fs: &'a RootFs,
}

/// Keeps the version of a new run until the end of the transaction: a deletion waits.
const KEPT: &str = "for key share";

/// The current version of a template, for a new run.
pub(crate) async fn current(client: &impl GenericClient, slug: &str) -> Result<Option<TemplateRef>, DbError> {
    let sql = format!(
        "select id, version_id, slug, version, root_fs from ingest.templates where slug = $1 and is_current {KEPT}"
    );
    optional(client, &sql, &[&slug]).await?.map(|row| template(&row)).transpose()
}

/// A version, for a new run.
pub(crate) async fn version(
    client: &impl GenericClient,
    id: &TemplateVersionId,
) -> Result<Option<TemplateRef>, DbError> {
    let sql =
        format!("select id, version_id, slug, version, root_fs from ingest.templates where version_id = $1 {KEPT}");
    optional(client, &sql, &[&id.as_str()]).await?.map(|row| template(&row)).transpose()
}

/// Newest first.
pub(crate) async fn all(client: &impl GenericClient) -> Result<Vec<TemplateVersion>, DbError> {
    let sql = "select * from ingest.templates order by created_at desc, version_id desc";
    rows(client, sql, &[]).await?.iter().map(template_version).collect()
}

pub(crate) async fn find(
    client: &impl GenericClient,
    id: &TemplateVersionId,
) -> Result<Option<TemplateVersion>, DbError> {
    let sql = "select * from ingest.templates where version_id = $1";
    optional(client, sql, &[&id.as_str()]).await?.map(|row| template_version(&row)).transpose()
}

/// Finds the version with this name.
pub(crate) async fn named(
    client: &impl GenericClient,
    slug: &str,
    version: &str,
) -> Result<Option<TemplateVersionId>, DbError> {
    let sql = "select version_id from ingest.templates where slug = $1 and version = $2";
    optional(client, sql, &[&slug, &version]).await?.map(|row| parsed(&row, "version_id")).transpose()
}

/// Locks the versions of a template against other changes until the end of the transaction.
pub(crate) async fn lock_slug(client: &impl GenericClient, slug: &str) -> Result<(), DbError> {
    one(client, "select pg_advisory_xact_lock(hashtextextended('template ' || $1, 0))", &[&slug]).await.map(drop)
}

/// Locks an object until the end of the transaction, for the question whether a version needs it.
pub(crate) async fn lock_object(client: &impl GenericClient, key: &str) -> Result<(), DbError> {
    one(client, "select pg_advisory_xact_lock(hashtextextended('template object ' || $1, 0))", &[&key]).await.map(drop)
}

/// Says whether a version has this object.
pub(crate) async fn needs_object(client: &impl GenericClient, key: &str) -> Result<bool, DbError> {
    let sql = "select exists (select from ingest.templates where root_fs ->> 'key' = $1)";
    Ok(one(client, sql, &[&key]).await?.try_get(0)?)
}

/// Finds a version and locks it: no new run gets it until the end of the transaction.
pub(crate) async fn lock_version(
    client: &impl GenericClient,
    slug: &str,
    version: &str,
) -> Result<Option<TemplateVersion>, DbError> {
    let sql = "select * from ingest.templates where slug = $1 and version = $2 for update";
    optional(client, sql, &[&slug, &version]).await?.map(|row| template_version(&row)).transpose()
}

/// Counts the unfinished runs of this version.
pub(crate) async fn open_runs(client: &impl GenericClient, id: &TemplateVersionId) -> Result<i64, DbError> {
    let sql = "select count(*) from ingest.runs where not ended and template_version_id = $1";
    Ok(one(client, sql, &[&id.as_str()]).await?.try_get(0)?)
}

pub(crate) async fn delete(client: &impl GenericClient, id: &TemplateVersionId) -> Result<(), DbError> {
    execute(client, "delete from ingest.templates where version_id = $1", &[&id.as_str()]).await.map(drop)
}

/// Returns false if the version existed.
pub(crate) async fn insert(client: &impl GenericClient, new: &NewVersion<'_>) -> Result<bool, DbError> {
    let sql = "select id from ingest.templates where slug = $1 limit 1";
    let id = match optional(client, sql, &[&new.slug]).await? {
        Some(row) => parsed(&row, "id")?,
        None => TemplateId::new(),
    };
    let sql = "insert into ingest.templates (id, version_id, slug, version, root_fs) values ($1, $2, $3, $4, $5)
        on conflict (version_id) do nothing";
    let params = (id.as_str(), new.version_id.as_str(), Json(new.root_fs));
    let added = execute(client, sql, &[&params.0, &params.1, &new.slug, &new.version, &params.2]).await?;
    Ok(added == 1)
}

pub(crate) async fn make_current(client: &impl GenericClient, id: &TemplateVersionId) -> Result<(), DbError> {
    let others = "update ingest.templates set is_current = false where is_current and version_id <> $1
        and slug = (select slug from ingest.templates where version_id = $1)";
    execute(client, others, &[&id.as_str()]).await?;
    let this = "update ingest.templates set is_current = true where version_id = $1";
    execute(client, this, &[&id.as_str()]).await.map(drop)
}

fn template(row: &Row) -> Result<TemplateRef, DbError> {
    Ok(TemplateRef {
        id: parsed(row, "id")?,
        version_id: parsed(row, "version_id")?,
        slug: row.try_get("slug")?,
        version: row.try_get("version")?,
        root_fs: optional_json(row, "root_fs")?,
    })
}

fn template_version(row: &Row) -> Result<TemplateVersion, DbError> {
    let TemplateRef { id, version_id, slug, version, root_fs } = template(row)?;
    let (is_current, created_at) = (row.try_get("is_current")?, timestamp(row, "created_at")?);
    Ok(TemplateVersion { id, slug, version, version_id, is_current, created_at, root_fs })
}
