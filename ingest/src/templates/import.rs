//! Imports a root file system: reads it, stores it in its canonical form, and registers it as a version of a template.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use database::{Client, DbError};
use infra::s3::Store;
use schemas::id::TemplateVersionId;
use schemas::limits::ENV_BYTES;
use schemas::message::RootFs;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::error::TemplateError;
use super::image::{IgnoredSetting, Settings};
use super::pack::{self, Packed};
use super::{prepare, source};
use crate::db::templates::{self, TemplateVersion};

const UPLOAD_BUFFER_BYTES: usize = 1 << 20;
const MAX_SLUG_BYTES: usize = 63;
const MAX_VERSION_BYTES: usize = 63;
/// Hexadecimal digits of the digest in a version's id, and in its default name.
const ID_DIGITS: usize = 26;
const NAME_DIGITS: usize = 12;
/// Variables that the executor sets itself, whatever an image says.
const NOT_FROM_IMAGES: [&str; 9] = ["HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "CI", "PWD", "OLDPWD", "HOSTNAME"];

/// A request for an import.
#[derive(Debug, Clone)]
pub struct Import {
    pub path: PathBuf,
    /// The name of the image, for a layout that has several.
    pub ref_name: Option<String>,
    pub slug: String,
    /// `None` takes the beginning of the digest.
    pub version: Option<String>,
    /// Gives the version to runs that name none, from now on.
    pub make_current: bool,
}

/// The result of an import.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Imported {
    #[serde(flatten)]
    pub version: TemplateVersion,
    /// True if this content was imported under this slug before: nothing was stored.
    pub existed: bool,
    /// Devices, FIFOs and sockets that were left out.
    pub skipped: u64,
    /// Settings of the image without effect: a run has its own command, user and working folder.
    pub ignored: Vec<IgnoredSetting>,
}

/// Reads, stores and registers. Importing the same content again changes only which version is current.
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
    // Versions of zstd may compress differently; a stored object has the same content.
    let stored = store.size(&root_fs.key).await?;
    root_fs.size_bytes = stored.unwrap_or(root_fs.size_bytes);
    let wanted = templates::NewVersion {
        version_id: version_id(&asked.slug, &root_fs),
        slug: &asked.slug,
        version: &version,
        root_fs: &root_fs,
    };
    // Checked before the upload for an early error, and again under the lock.
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

/// The content of a source, ready to be stored.
struct Content {
    packed: Packed,
    env: BTreeMap<String, String>,
    skipped: u64,
    ignored: Vec<IgnoredSetting>,
}

fn read(path: &Path, ref_name: Option<&str>) -> Result<Content, TemplateError> {
    let (mut tree, spool, Settings { mut env, ignored }) = source::read(path, ref_name)?;
    let skipped = spool.skipped;
    let contents = spool.into_file();
    prepare::prepare(&mut tree, &contents)?;
    env.retain(|name, value| {
        let ours = name.starts_with("CROWNEST") || NOT_FROM_IMAGES.contains(&name.as_str());
        !ours && !name.is_empty() && !name.contains('\0') && !value.contains('\0')
    });
    let bytes: usize = env.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > ENV_BYTES {
        let message = format!("the environment of the image: expected at most {ENV_BYTES} bytes, got {bytes}");
        return Err(TemplateError::Image(message));
    }
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

/// Derives the id from slug, content and environment: an import elsewhere gives the same id.
fn version_id(slug: &str, root_fs: &RootFs) -> TemplateVersionId {
    let mut digest = Sha256::new();
    digest.update(format!("{slug}\0{}", root_fs.sha256));
    for (name, value) in &root_fs.env {
        digest.update(format!("\0{name}={value}"));
    }
    let id = format!("{}_{}", TemplateVersionId::PREFIX, &hex::encode(digest.finalize())[..ID_DIGITS]);
    id.parse().unwrap_or_else(|_| TemplateVersionId::new())
}
