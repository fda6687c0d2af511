//! Root file systems of sandboxes: imported by operators, immutable, named by the digest of their content. An import
//! flattens an image in memory (`tree.rs`) and stores it in one canonical form (`pack.rs`), so that executors need to
//! understand nothing else.

mod deletion;
mod image;
mod pack;
mod prepare;
mod source;
mod spool;
mod tree;

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::PathBuf;

use database::Client;
use infra::s3::{Store, StoreError};
use schemas::Timestamp;
use schemas::id::{TemplateId, TemplateVersionId};
use schemas::message::RootFs;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

pub use self::deletion::{Deleted, delete};
pub use self::image::IgnoredSetting;
use self::image::Settings;
use self::pack::Packed;
use crate::db::{DbError, templates};

const UPLOAD_BUFFER_BYTES: usize = 1 << 20;
const MAX_SLUG_BYTES: usize = 63;
const MAX_VERSION_BYTES: usize = 63;
/// Hexadecimal digits of the digest that become a version's id, and by default its name.
const ID_DIGITS: usize = 26;
const NAME_DIGITS: usize = 12;
/// What the executor decides itself, whatever an image says.
const NOT_FROM_IMAGES: [&str; 9] = ["HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "CI", "PWD", "OLDPWD", "HOSTNAME"];

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
    #[error("the root file system is of no use as it is: /{path}: {reason}")]
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
    #[error("{0} is what runs of its template get that name no version: give them another one first")]
    InUse(TemplateVersionId),
    #[error("{runs} runs that are not over have {id}: try again when they are")]
    HasRuns { id: TemplateVersionId, runs: i64 },
    #[error("{0} was deleted from the store meanwhile, with the last version that had it: import it again")]
    ObjectGone(String),
}

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

/// What to import, and under which name.
#[derive(Debug, Clone)]
pub struct Import {
    pub path: PathBuf,
    /// Which image of a layout that has several.
    pub ref_name: Option<String>,
    pub slug: String,
    /// The beginning of the digest if `None`.
    pub version: Option<String>,
    /// Whether runs that name no version get it from now on.
    pub make_current: bool,
}

/// What an import did.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Imported {
    #[serde(flatten)]
    pub version: TemplateVersion,
    /// The same content was imported under this slug before; nothing was stored.
    pub existed: bool,
    /// Devices, FIFOs and sockets that were left out.
    pub skipped: u64,
    /// What the image says of how it wants to be run: a run has its own command, user and working folder.
    pub ignored: Vec<IgnoredSetting>,
}

/// Reads, stores and registers. Importing the same content again changes nothing but what is current.
pub async fn import(client: &mut Client, store: &Store, asked: Import) -> Result<Imported, TemplateError> {
    check_name("the slug", &asked.slug, MAX_SLUG_BYTES)?;
    if let Some(version) = &asked.version {
        check_name("the version", version, MAX_VERSION_BYTES)?;
    }
    let (path, ref_name) = (asked.path.clone(), asked.ref_name.clone());
    let read = tokio::task::spawn_blocking(move || read(&path, ref_name.as_deref()));
    let Content { packed, env, skipped, ignored } =
        read.await.map_err(|error| TemplateError::Scratch(error.into()))??;
    let version = asked.version.unwrap_or_else(|| packed.sha256[..NAME_DIGITS].to_owned());
    let mut root_fs = RootFs {
        key: object_key(&packed.sha256),
        sha256: packed.sha256.clone(),
        size_bytes: packed.size_bytes,
        tar_bytes: packed.tar_bytes,
        env,
    };
    // The compressed bytes may differ between versions of zstd; whatever is there has the same content.
    let stored = store.size(&root_fs.key).await?;
    root_fs.size_bytes = stored.unwrap_or(root_fs.size_bytes);
    let wanted = templates::NewVersion {
        version_id: version_id(&asked.slug, &root_fs),
        slug: &asked.slug,
        version: &version,
        root_fs: &root_fs,
    };
    // Before the upload, for the error; again afterwards, for the truth.
    check_free(client, &wanted).await?;
    if stored.is_none() {
        upload(store, packed, &root_fs).await?;
    }
    let transaction = client.transaction().await.map_err(DbError::from)?;
    templates::lock_slug(&transaction, &asked.slug).await?;
    check_free(&transaction, &wanted).await?;
    templates::lock_object(&transaction, &root_fs.key).await?;
    if store.size(&root_fs.key).await?.is_none() {
        return Err(TemplateError::ObjectGone(root_fs.key.clone()));
    }
    let existed = !templates::insert(&transaction, &wanted).await?;
    if asked.make_current {
        templates::make_current(&transaction, &wanted.version_id).await?;
    }
    let version = templates::find(&transaction, &wanted.version_id).await?;
    transaction.commit().await.map_err(DbError::from)?;
    let version = version.ok_or(TemplateError::UnknownVersion(wanted.version_id))?;
    Ok(Imported { version, existed, skipped, ignored })
}

/// All versions of all templates, newest first.
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

/// What is at a path, ready to be stored.
struct Content {
    packed: Packed,
    env: BTreeMap<String, String>,
    skipped: u64,
    ignored: Vec<IgnoredSetting>,
}

fn read(path: &std::path::Path, ref_name: Option<&str>) -> Result<Content, TemplateError> {
    let (mut tree, spool, Settings { mut env, ignored }) = source::read(path, ref_name)?;
    let skipped = spool.skipped;
    let contents = spool.into_file();
    prepare::prepare(&mut tree, &contents)?;
    env.retain(|name, value| {
        let ours = name.starts_with("CROWNEST") || NOT_FROM_IMAGES.contains(&name.as_str());
        !ours && !name.is_empty() && !name.contains('\0') && !value.contains('\0')
    });
    let packed = pack::pack(&tree, &contents).map_err(TemplateError::Scratch)?;
    Ok(Content { packed, env, skipped, ignored })
}

async fn upload(store: &Store, packed: Packed, root_fs: &RootFs) -> Result<(), TemplateError> {
    let mut upload = store.begin(&root_fs.key, "application/zstd");
    let mut file = packed.file;
    let mut buffer = vec![0; UPLOAD_BUFFER_BYTES];
    loop {
        let bytes = file.read(&mut buffer).map_err(TemplateError::Scratch)?;
        if bytes == 0 {
            return Ok(upload.finish().await?);
        }
        if let Err(error) = upload.write(&buffer[..bytes]).await {
            upload.abort().await;
            return Err(error.into());
        }
    }
}

async fn check_free(
    client: &impl database::GenericClient,
    wanted: &templates::NewVersion<'_>,
) -> Result<(), TemplateError> {
    match templates::named(client, wanted.slug, wanted.version).await? {
        Some(id) if id != wanted.version_id => {
            Err(TemplateError::VersionTaken { slug: wanted.slug.to_owned(), version: wanted.version.to_owned(), id })
        }
        _ => Ok(()),
    }
}

fn check_name(what: &'static str, name: &str, max: usize) -> Result<(), TemplateError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let valid = (1..=max).contains(&name.len())
        && name.bytes().all(|byte| plain(byte) || b"._-".contains(&byte))
        && name.bytes().next().is_some_and(plain);
    if valid { Ok(()) } else { Err(TemplateError::InvalidName { what, max }) }
}

fn object_key(sha256: &str) -> String {
    format!("templates/{sha256}.tar.zst")
}

/// The same content under the same slug is the same version, wherever it is imported; so is its environment.
fn version_id(slug: &str, root_fs: &RootFs) -> TemplateVersionId {
    let mut digest = Sha256::new();
    digest.update(format!("{slug}\0{}", root_fs.sha256));
    for (name, value) in &root_fs.env {
        digest.update(format!("\0{name}={value}"));
    }
    let id = format!("{}_{}", TemplateVersionId::PREFIX, &hex::encode(digest.finalize())[..ID_DIGITS]);
    id.parse().unwrap_or_else(|_| TemplateVersionId::new())
}
