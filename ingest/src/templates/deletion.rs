//! A version is deleted: first its row, so that nobody gets it any more, then its object, if no other version has it.

use database::Client;
use infra::s3::Store;
use serde::Serialize;

use super::{TemplateError, TemplateVersion};
use crate::db::{DbError, templates};

/// What a deletion did.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deleted {
    #[serde(flatten)]
    pub version: TemplateVersion,
    /// Nothing else had the content: it is not in the store any more.
    pub object_deleted: bool,
}

/// Evidence of earlier runs keeps the digest. A crash in the middle leaves an object that nobody needs, never a version
/// without its object.
pub async fn delete(client: &mut Client, store: &Store, slug: &str, name: &str) -> Result<Deleted, TemplateError> {
    let transaction = client.transaction().await.map_err(DbError::from)?;
    templates::lock_slug(&transaction, slug).await?;
    let found = templates::lock_version(&transaction, slug, name).await?;
    let version =
        found.ok_or_else(|| TemplateError::UnknownName { slug: slug.to_owned(), version: name.to_owned() })?;
    if version.is_current {
        return Err(TemplateError::InUse(version.version_id));
    }
    // A statement of its own, after the lock: it sees the runs of whoever had the version before.
    let runs = templates::open_runs(&transaction, &version.version_id).await?;
    if runs > 0 {
        return Err(TemplateError::HasRuns { id: version.version_id, runs });
    }
    templates::delete(&transaction, &version.version_id).await?;
    transaction.commit().await.map_err(DbError::from)?;
    let object_deleted = match &version.root_fs {
        Some(root_fs) => delete_object(client, store, &root_fs.key).await?,
        None => false,
    };
    Ok(Deleted { version, object_deleted })
}

/// False if another version has it.
async fn delete_object(client: &mut Client, store: &Store, key: &str) -> Result<bool, TemplateError> {
    let transaction = client.transaction().await.map_err(DbError::from)?;
    templates::lock_object(&transaction, key).await?;
    let needed = templates::needs_object(&transaction, key).await?;
    if !needed {
        store.delete(key).await?;
    }
    transaction.commit().await.map_err(DbError::from)?;
    Ok(!needed)
}
