//! Table `ingest.templates`: what sandboxes are made from.

use infra::postgres::GenericClient;
use schemas::id::TemplateVersionId;
use schemas::message::TemplateRef;
use tokio_postgres::Row;

use super::{DbError, optional, parsed};

/// The current version of a template.
pub(crate) async fn current(client: &impl GenericClient, slug: &str) -> Result<Option<TemplateRef>, DbError> {
    let sql = "select id, version_id, slug, version from ingest.templates where slug = $1 and is_current";
    optional(client, sql, &[&slug]).await?.map(|row| template(&row)).transpose()
}

pub(crate) async fn version(
    client: &impl GenericClient,
    id: &TemplateVersionId,
) -> Result<Option<TemplateRef>, DbError> {
    let sql = "select id, version_id, slug, version from ingest.templates where version_id = $1";
    optional(client, sql, &[&id.as_str()]).await?.map(|row| template(&row)).transpose()
}

fn template(row: &Row) -> Result<TemplateRef, DbError> {
    Ok(TemplateRef {
        id: parsed(row, "id")?,
        version_id: parsed(row, "version_id")?,
        slug: row.try_get("slug")?,
        version: row.try_get("version")?,
    })
}
