//! Why a template cannot be imported, changed or deleted.

use std::io;

use database::DbError;
use infra::s3::StoreError;
use schemas::id::TemplateVersionId;

#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{name}: expected a folder with an OCI image layout, or a tar of a root file system, found {found}")]
    NoImage { name: String, found: &'static str },
    #[error("{name} cannot be read: {source}")]
    Unreadable { name: String, source: io::Error },
    #[error("{name}: entry {entry:?}: {reason}")]
    Entry { name: String, entry: String, reason: String },
    #[error("{0}")]
    Image(String),
    #[error("the root file system cannot be used: /{path}: {reason}")]
    Unfit { path: String, reason: String },
    #[error("the temporary folder (TMPDIR) cannot take the contents: {0}")]
    Scratch(io::Error),
    #[error("{what}: expected 1 to {max} characters of [a-z0-9._-], the first a letter or digit")]
    InvalidName { what: &'static str, max: usize },
    #[error("version {version} of {slug} exists already, with other content ({id})")]
    VersionTaken { slug: String, version: String, id: TemplateVersionId },
    #[error("template version {0} does not exist")]
    UnknownVersion(TemplateVersionId),
    #[error("version {version} of {slug} does not exist")]
    UnknownName { slug: String, version: String },
    #[error("{0} is its template's current version: make another version current first")]
    InUse(TemplateVersionId),
    #[error("{id} is used by {runs} unfinished runs; retry when they end")]
    HasRuns { id: TemplateVersionId, runs: i64 },
    #[error("{0} was deleted from the store during the import, with the last version that had it: import it again")]
    ObjectGone(String),
}
