//! Extracted archives on local disk, one tree per organization and digest: extracted once, shared read-only by any
//! number of runs, evicted when nobody uses them and space is short.
//!
//! On disk: `<folder>/<org>.<sha256>/{tree/, complete}`, with `.<uid>` after it where a tree belongs to one slot. A tree
//! becomes visible by one rename; whatever has another name is rubbish of a former process. `complete` names the boot in
//! which the tree was written: nothing is synced, so after a crash of the whole machine old trees are not trusted.
use std::collections::HashMap;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use sandbox::remove_tree;
use tokio::task::spawn_blocking;

use super::key::TreeKey;
use super::shelf::Shelf;
use crate::abandoned::Caller;
use crate::extraction::{ExtractError, ExtractLimits, extract_for, extract_root_fs};

/// The configuration of one cache.
#[derive(Debug, Clone)]
pub struct CacheConfig {
    /// Used by this cache alone.
    pub folder: PathBuf,
    /// Trees in use may exceed it, unused ones never do.
    pub max_bytes: u64,
    pub limits: ExtractLimits,
}

/// `E` is the error of the caller's fetch.
#[derive(Debug, thiserror::Error)]
pub enum CacheError<E> {
    #[error("fetching the archive: {0}")]
    Fetch(E),
    #[error(transparent)]
    Extract(#[from] ExtractError),
    #[error("extraction cache: {0}")]
    Io(#[from] io::Error),
}

impl<E> From<MakeError> for CacheError<E> {
    fn from(error: MakeError) -> Self {
        match error {
            MakeError::Extract(error) => Self::Extract(error),
            MakeError::Io(error) => Self::Io(error),
        }
    }
}

/// A [`CacheError`] that can cross threads whatever the caller's error is.
#[derive(Debug, thiserror::Error)]
enum MakeError {
    #[error(transparent)]
    Extract(#[from] ExtractError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct TreeCache {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: CacheConfig,
    format: Format,
    boot_id: String,
    shelf: Mutex<Shelf>,
    /// Held while a tree is being made, by whoever makes it.
    making: Mutex<HashMap<TreeKey, Weak<tokio::sync::Mutex<()>>>>,
    next_temporary: AtomicU64,
    /// Folders to remove: in memory nothing is known of them any more.
    doomed: Mutex<Vec<PathBuf>>,
}

/// The format of the archives that a cache extracts.
#[derive(Debug, Clone, Copy)]
enum Format {
    Archive,
    RootFs,
}

/// Pins a tree: it stays as long as this does.
#[derive(Debug)]
pub struct CachedTree {
    inner: Arc<Inner>,
    key: TreeKey,
    path: PathBuf,
    /// False if this call extracted it.
    pub was_cached: bool,
}

impl CachedTree {
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for CachedTree {
    fn drop(&mut self) {
        let mut shelf = self.inner.shelf();
        shelf.unpin(&self.key);
        if shelf.bytes() > self.inner.config.max_bytes {
            // It was only kept because it was in use. Removing takes time, and this may be an async worker.
            let inner = Arc::clone(&self.inner);
            std::thread::spawn(move || inner.evict());
        }
    }
}

impl TreeCache {
    /// Takes over the complete trees of a former process and removes everything else, as far as that is possible: what
    /// cannot be removed is tried again with every eviction. Blocking.
    pub fn open(config: CacheConfig) -> io::Result<Self> {
        Self::open_with(config, Format::Archive)
    }

    /// A cache of root file systems, in the form in which templates are stored; otherwise the same.
    pub fn open_root_file_systems(config: CacheConfig) -> io::Result<Self> {
        Self::open_with(config, Format::RootFs)
    }

    fn open_with(config: CacheConfig, format: Format) -> io::Result<Self> {
        fs::create_dir_all(&config.folder)?;
        fs::set_permissions(&config.folder, Permissions::from_mode(0o700))?;
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
        let (mut found, mut doomed) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(&config.folder)? {
            let entry = entry?;
            let key = entry.file_name().to_str().and_then(TreeKey::from_name);
            let bytes = fs::read_to_string(entry.path().join("complete")).ok().and_then(|mark| {
                let (boot, bytes) = mark.trim_end().split_once(' ')?;
                if boot == boot_id { bytes.parse::<u64>().ok() } else { None }
            });
            let key = key.filter(|key| key.is_owner(&entry.path().join("tree")));
            match key.zip(bytes) {
                Some((key, bytes)) => found.push((entry.metadata()?.modified()?, key, bytes)),
                None => doomed.push(entry.path()),
            }
        }
        found.sort_by_key(|(used, ..)| *used);
        let mut shelf = Shelf::default();
        for (_, key, bytes) in found {
            shelf.add(key.clone(), bytes);
            shelf.unpin(&key);
        }
        let inner = Inner {
            config,
            format,
            boot_id,
            shelf: Mutex::new(shelf),
            making: Mutex::default(),
            next_temporary: AtomicU64::new(0),
            doomed: Mutex::new(doomed),
        };
        inner.evict();
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The tree of `key`. If it is not there, `fetch` yields the verified archive as a local file (which stays the
    /// caller's) and it is extracted; others who ask for it meanwhile wait for that, and try themselves if it fails.
    pub async fn get<F, P, E>(&self, key: &TreeKey, fetch: F) -> Result<CachedTree, CacheError<E>>
    where
        F: AsyncFnOnce() -> Result<P, E>,
        P: AsRef<Path>,
    {
        if let Some(tree) = self.inner.pin(key, true) {
            return Ok(tree);
        }
        let turn = self.inner.turn(key);
        let _mine = turn.lock().await;
        if let Some(tree) = self.inner.pin(key, true) {
            return Ok(tree);
        }
        let archive = fetch().await.map_err(CacheError::Fetch)?;
        let archive = File::open(archive.as_ref())?;
        let caller = Caller::default();
        let (inner, owned_key, abandoned) = (Arc::clone(&self.inner), key.clone(), caller.gone());
        let making = spawn_blocking(move || inner.make(owned_key, archive, &abandoned));
        Ok(making.await.map_err(io::Error::from)??)
    }

    /// Estimated bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.inner.shelf().bytes()
    }
}

impl Inner {
    fn shelf(&self) -> std::sync::MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pin(self: &Arc<Self>, key: &TreeKey, was_cached: bool) -> Option<CachedTree> {
        if !self.shelf().pin(key) {
            return None;
        }
        let home = self.home(key);
        // The order of use survives a restart as modification times; losing one does no harm.
        let _ = File::open(&home).and_then(|home| home.set_modified(std::time::SystemTime::now()));
        Some(CachedTree { inner: Arc::clone(self), key: key.clone(), path: home.join("tree"), was_cached })
    }

    fn turn(&self, key: &TreeKey) -> Arc<tokio::sync::Mutex<()>> {
        let mut making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = making.get(key).and_then(Weak::upgrade) {
            return turn;
        }
        making.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        making.insert(key.clone(), Arc::downgrade(&turn));
        turn
    }

    fn make(self: Arc<Self>, key: TreeKey, archive: File, stop: &AtomicBool) -> Result<CachedTree, MakeError> {
        let temporary = Temporary(self.temporary(), &self);
        let tree = temporary.0.join("tree");
        fs::create_dir_all(&tree)?;
        // Seen as the root of a workspace, by the slot's user.
        fs::set_permissions(&tree, Permissions::from_mode(0o755))?;
        if let Some(owner) = key.owner() {
            std::os::unix::fs::chown(&tree, Some(owner), Some(owner))?;
        }
        let root = File::open(&tree)?;
        let limits = &self.config.limits;
        let extracted = match self.format {
            Format::Archive => extract_for(key.owner(), archive, root.as_fd(), limits, stop)?,
            Format::RootFs => extract_root_fs(archive, root.as_fd(), key.sha256(), limits, stop)?,
        };
        fs::write(temporary.0.join("complete"), format!("{} {}\n", self.boot_id, extracted.disk_bytes))?;
        // What could not be removed of an evicted tree may be there.
        remove_tree(&self.home(&key))?;
        fs::rename(&temporary.0, self.home(&key))?;
        self.shelf().add(key.clone(), extracted.disk_bytes);
        let path = self.home(&key).join("tree");
        let cached = CachedTree { inner: Arc::clone(&self), key, path, was_cached: false };
        self.evict();
        Ok(cached)
    }

    /// Removes unused trees until the cache is as small as it should be, and what could not be removed before.
    fn evict(&self) {
        // The lock is held over the renames only: a tree that is asked for again is made anew.
        {
            let mut shelf = self.shelf();
            while let Some(key) = shelf.evict_above(self.config.max_bytes) {
                let (home, temporary) = (self.home(&key), self.temporary());
                if fs::rename(&home, &temporary).is_ok() {
                    self.doomed().push(temporary);
                } else {
                    // It may need space that a full disk does not have; removing a tree where it is needs none. What
                    // stays in spite of that goes when the tree is made again, or at the next start.
                    let _ = fs::remove_file(home.join("complete"));
                    remove_or_warn(&home);
                }
            }
        }
        let doomed = std::mem::take(&mut *self.doomed());
        let left = doomed.into_iter().filter(|path| !remove_or_warn(path)).collect::<Vec<_>>();
        self.doomed().extend(left);
    }

    fn doomed(&self) -> std::sync::MutexGuard<'_, Vec<PathBuf>> {
        self.doomed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn home(&self, key: &TreeKey) -> PathBuf {
        self.config.folder.join(key.name())
    }

    /// A name that no key has, and nothing else.
    fn temporary(&self) -> PathBuf {
        loop {
            let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
            let path = self.config.folder.join(format!("temporary-{number}"));
            if !path.exists() {
                return path;
            }
        }
    }
}

/// Removed unless it was renamed away.
struct Temporary<'a>(PathBuf, &'a Inner);

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !remove_or_warn(&self.0) {
            self.1.doomed().push(self.0.clone());
        }
    }
}

/// Removes a folder or file of the cache; says whether it is gone.
fn remove_or_warn(path: &Path) -> bool {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if !found.is_dir() => fs::remove_file(path),
        _ => remove_tree(path),
    };
    removed
        .inspect_err(|error| tracing::warn!(%error, path = %path.display(), "cannot remove a tree; retrying later"))
        .is_ok()
}
