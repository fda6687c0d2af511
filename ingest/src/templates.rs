//! Root file systems of sandboxes: imported by operators, immutable, named by the digest of their content. An import
//! flattens an image in memory (`tree`) and stores it in one canonical form (`pack`), so that executors need to
//! understand nothing else. Start reading at [`import()`].

mod decompress;
mod deletion;
mod error;
mod image;
mod import;
mod pack;
mod prepare;
mod source;
mod spool;
mod tree;

use database::{Client, DbError};
use schemas::id::TemplateVersionId;

pub use self::deletion::{Deleted, delete};
pub use self::error::TemplateError;
pub use self::image::IgnoredSetting;
pub use self::import::{Import, Imported, import};
use crate::db::templates;
pub use crate::db::templates::TemplateVersion;

/// Lists all versions of all templates, newest first.
pub async fn all(client: &Client) -> Result<Vec<TemplateVersion>, TemplateError> {
    Ok(templates::all(client).await?)
}

/// Gives this version to runs that name none, from now on.
pub async fn make_current(client: &mut Client, id: &TemplateVersionId) -> Result<TemplateVersion, TemplateError> {
    let unknown = || TemplateError::UnknownVersion(id.clone());
    let slug = templates::find(client, id).await?.ok_or_else(unknown)?.slug;
    let transaction = client.transaction().await.map_err(DbError::from)?;
    templates::lock_slug(&transaction, &slug).await?;
    templates::make_current(&transaction, id).await?;
    let version = templates::find(&transaction, id).await?.ok_or_else(unknown)?;
    transaction.commit().await.map_err(DbError::from)?;
    Ok(version)
}
