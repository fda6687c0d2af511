//! Deletes a version: first its row, so that no run gets the version any more, then its object, unless another version
//! has the object.

use database::{Client, DbError};
use infra::s3::Store;
use serde::Serialize;

use super::error::TemplateError;
use crate::db::templates::{self, TemplateVersion};

/// The result of a deletion.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deleted {
    #[serde(flatten)]
    pub version: TemplateVersion,
    /// No other version had the content, which is deleted from the store.
    pub object_deleted: bool,
}

/// Deletes a version. Evidence of earlier runs keeps the digest. A crash in between leaves an object that nothing needs,
/// never a version without its object.
pub async fn delete(client: &mut Client, store: &Store, slug: &str, name: &str) -> Result<Deleted, TemplateError> {
    let transaction = client.transaction().await.map_err(DbError::from)?;
    templates::lock_slug(&transaction, slug).await?;
    let found = templates::lock_version(&transaction, slug, name).await?;
    let version =
        found.ok_or_else(|| TemplateError::UnknownName { slug: slug.to_owned(), version: name.to_owned() })?;
    if version.is_current {
        return Err(TemplateError::InUse(version.version_id));
    }
    // A statement of its own, after the lock: it sees runs that were created while the lock was awaited.
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

/// Returns false if another version has the object.
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
