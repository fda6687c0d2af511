//! Templates and their versions, as clients see them.

use std::collections::HashMap;

use database::GenericClient;
use database::row::{DbError, optional, optional_json, parsed, rows, timestamp};
use schemas::api::template::{OfferedTemplate, OfferedVersion};
use schemas::id::{TemplateId, TemplateVersionId};
use schemas::message::RootFs;
use tokio_postgres::Row;

use crate::db::page::{Cursor, Page};
use crate::new_run::DEFAULT_TEMPLATE;

/// Maximum versions of one template in an answer, beside the current one.
const MAX_VERSIONS: i64 = 100;

/// Newest first; one more than the page holds, if there is one.
pub(crate) async fn list(client: &impl GenericClient, page: &Page) -> Result<Vec<(OfferedTemplate, Cursor)>, DbError> {
    let sql = "select id, slug, min(created_at) as created_at from ingest.templates group by id, slug
        having $1::timestamptz is null or (min(created_at), id) < ($1, $2::text)
        order by min(created_at) desc, id desc limit $3";
    let (at, id) = page.after();
    let found = rows(client, sql, &[&at, &id, &page.one_more()]).await?;
    let ids: Vec<&str> = found.iter().map(|row| row.try_get("id")).collect::<Result<_, _>>()?;
    let mut versions = versions(client, &ids).await?;
    found.iter().map(|row| Ok((template(row, &mut versions)?, Cursor::of(row)?))).collect()
}

/// Finds a template by its id or its slug.
pub(crate) async fn find(client: &impl GenericClient, name: &str) -> Result<Option<OfferedTemplate>, DbError> {
    let sql = "select id, slug, min(created_at) as created_at from ingest.templates where id = $1 or slug = $1
        group by id, slug order by (id = $1) desc limit 1";
    let Some(row) = optional(client, sql, &[&name]).await? else { return Ok(None) };
    let mut versions = versions(client, &[row.try_get("id")?]).await?;
    template(&row, &mut versions).map(Some)
}

/// Lists the slugs of templates, in alphabetical order.
pub(crate) async fn slugs(client: &impl GenericClient, limit: i64) -> Result<Vec<String>, DbError> {
    let sql = "select distinct slug from ingest.templates order by slug limit $1";
    rows(client, sql, &[&limit]).await?.iter().map(|row| Ok(row.try_get("slug")?)).collect()
}

/// Lists the versions of a template, or of all: id, slug and version, newest first.
pub(crate) async fn names(
    client: &impl GenericClient,
    slug: Option<&str>,
    limit: i64,
) -> Result<Vec<(TemplateVersionId, String, String)>, DbError> {
    let sql = "select version_id, slug, version from ingest.templates where $1::text is null or slug = $1
        order by created_at desc, version_id desc limit $2";
    let found = rows(client, sql, &[&slug, &limit]).await?;
    found.iter().map(|row| Ok((parsed(row, "version_id")?, row.try_get("slug")?, row.try_get("version")?))).collect()
}

async fn versions(
    client: &impl GenericClient,
    ids: &[&str],
) -> Result<HashMap<TemplateId, Vec<OfferedVersion>>, DbError> {
    let sql = "select * from (
            select *, row_number() over (partition by id order by created_at desc, version_id desc) as place
            from ingest.templates where id = any ($1)
        ) as numbered where place <= $2 or is_current order by created_at desc, version_id desc";
    let mut versions: HashMap<TemplateId, Vec<OfferedVersion>> = HashMap::new();
    for row in rows(client, sql, &[&ids, &MAX_VERSIONS]).await? {
        versions.entry(parsed(&row, "id")?).or_default().push(version(&row)?);
    }
    Ok(versions)
}

fn template(row: &Row, versions: &mut HashMap<TemplateId, Vec<OfferedVersion>>) -> Result<OfferedTemplate, DbError> {
    let (id, slug): (TemplateId, String) = (parsed(row, "id")?, row.try_get("slug")?);
    let versions = versions.remove(&id).unwrap_or_default();
    Ok(OfferedTemplate {
        id,
        is_default: slug == DEFAULT_TEMPLATE,
        slug,
        created_at: timestamp(row, "created_at")?,
        current_version_id: versions.iter().find(|version| version.is_current).map(|version| version.id.clone()),
        versions,
    })
}

fn version(row: &Row) -> Result<OfferedVersion, DbError> {
    let root_fs: Option<RootFs> = optional_json(row, "root_fs")?;
    Ok(OfferedVersion {
        id: parsed(row, "version_id")?,
        version: row.try_get("version")?,
        digest: root_fs.map(|root_fs| root_fs.digest()),
        is_current: row.try_get("is_current")?,
        created_at: timestamp(row, "created_at")?,
    })
}
