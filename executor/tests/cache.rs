//! The extraction cache: once per digest, within its bytes, across restarts.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use executor::extraction::ExtractLimits;
use executor::trees::{CacheConfig, CacheError, CachedTree, TreeCache, TreeKey};
use flate2::{Compression, write::GzEncoder};
use schemas::run::FailureReason;

struct Archives {
    folder: tempfile::TempDir,
    fetches: AtomicUsize,
}

impl Archives {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), fetches: AtomicUsize::new(0) }
    }

    fn cache(&self, max_bytes: u64) -> TreeCache {
        let config = CacheConfig { folder: self.cache_folder(), max_bytes, limits: ExtractLimits::default() };
        TreeCache::open(config).unwrap()
    }

    fn cache_folder(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// An archive of one file with 100,000 bytes.
    fn archive(&self) -> PathBuf {
        self.archive_of(100_000)
    }

    fn archive_of(&self, bytes: usize) -> PathBuf {
        let path = self.folder.path().join("archive.tgz");
        let mut builder = tar::Builder::new(GzEncoder::new(fs::File::create(&path).unwrap(), Compression::fast()));
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, "file", &vec![b'x'; bytes][..]).unwrap();
        builder.into_inner().unwrap().finish().unwrap();
        path
    }

    async fn get(&self, cache: &TreeCache, key: &TreeKey) -> CachedTree {
        let path = self.archive();
        let fetch = async || {
            self.fetches.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok::<_, std::io::Error>(path)
        };
        cache.get(key, fetch).await.unwrap()
    }

    fn fetched(&self) -> usize {
        self.fetches.load(Ordering::Relaxed)
    }

    fn on_disk(&self) -> Vec<String> {
        let entries = fs::read_dir(self.cache_folder()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn key(digit: char) -> TreeKey {
    TreeKey::new("org_1", &digit.to_string().repeat(64)).unwrap()
}

fn size(tree: &Path) -> u64 {
    fs::metadata(tree.join("file")).unwrap().len()
}

#[tokio::test]
async fn extracts_once_however_many_ask() {
    let archives = Archives::new();
    let cache = archives.cache(u64::MAX);
    let key = key('a');
    let ask = || archives.get(&cache, &key);
    let (a, b, c, d) = tokio::join!(ask(), ask(), ask(), ask());
    assert_eq!(archives.fetched(), 1);
    assert_eq!([&a, &b, &c, &d].map(|tree| tree.was_cached), [false, true, true, true]);
    assert_eq!(size(d.path()), 100_000);
    let other_org = TreeKey::new("org_2", &"a".repeat(64)).unwrap();
    archives.get(&cache, &other_org).await;
    assert_eq!(archives.fetched(), 2, "tenants share nothing");
}

/// Without root the owner of a tree cannot be mapped for each run.
#[tokio::test]
async fn a_tree_can_belong_to_somebody() {
    use std::os::unix::fs::MetadataExt as _;
    let archives = Archives::new();
    let (key, owned) = (key('a'), |owner| key('a').owned_by(Some(owner)));
    let cache = archives.cache(u64::MAX);
    let plain = archives.get(&cache, &key).await;
    let trees = [archives.get(&cache, &owned(4001)).await, archives.get(&cache, &owned(4002)).await];
    assert_eq!(archives.fetched(), 3);
    let owner = |path: PathBuf| fs::symlink_metadata(path).map(|file| (file.uid(), file.gid())).unwrap();
    for (tree, id) in trees.iter().chain([&plain]).zip([4001, 4002, 0]) {
        assert_eq!((owner(tree.path().to_owned()), owner(tree.path().join("file"))), ((id, id), (id, id)));
    }
    let changed = trees[1].path().to_owned();
    drop((trees, plain, cache));
    // Whom ids mean may have changed between two starts.
    std::os::unix::fs::chown(&changed, Some(4003), None).unwrap();
    let cache = archives.cache(u64::MAX);
    assert!(archives.get(&cache, &owned(4001)).await.was_cached);
    assert!(!archives.get(&cache, &owned(4002)).await.was_cached);
    assert_eq!(archives.fetched(), 4);
}

#[tokio::test]
async fn failures_are_not_remembered() {
    let archives = Archives::new();
    let cache = archives.cache(u64::MAX);
    let broken = archives.folder.path().join("broken");
    fs::write(&broken, "broken").unwrap();
    let failed = cache.get(&key('a'), async || Err::<PathBuf, _>("offline")).await;
    assert!(matches!(failed, Err(CacheError::Fetch("offline"))));
    let failed = cache.get(&key('a'), async || Ok::<_, &str>(&broken)).await;
    assert!(
        matches!(failed, Err(CacheError::Extract(error)) if error.failure_reason() == FailureReason::ArchiveInvalid)
    );
    assert_eq!(archives.on_disk(), Vec::<String>::new());
    assert_eq!(size(archives.get(&cache, &key('a')).await.path()), 100_000);
}

#[tokio::test]
async fn evicts_the_least_recently_used_but_nothing_in_use() {
    let archives = Archives::new();
    let cache = archives.cache(250_000);
    let pinned = archives.get(&cache, &key('a')).await;
    drop(archives.get(&cache, &key('b')).await);
    drop(archives.get(&cache, &key('c')).await);
    assert_eq!(archives.on_disk().len(), 2);
    assert_eq!(size(pinned.path()), 100_000);
    assert_eq!(archives.fetched(), 3);
    assert!(archives.get(&cache, &key('c')).await.was_cached, "b went, c stays");
    assert!(cache.bytes() <= 250_000);
}

#[tokio::test]
async fn survives_a_restart_and_sweeps_what_is_half_written() {
    let archives = Archives::new();
    drop(archives.get(&archives.cache(u64::MAX), &key('a')).await);
    for rubbish in ["temporary-7/tree", &format!("org_1.{}/tree", "b".repeat(64))] {
        fs::create_dir_all(archives.cache_folder().join(rubbish)).unwrap();
    }
    let from_another_boot = archives.cache_folder().join(format!("org_1.{}", "c".repeat(64)));
    fs::create_dir_all(from_another_boot.join("tree")).unwrap();
    fs::write(from_another_boot.join("complete"), "00000000-0000-0000-0000-000000000000 100\n").unwrap();

    let cache = archives.cache(u64::MAX);
    assert_eq!(archives.on_disk(), [format!("org_1.{}", "a".repeat(64))]);
    assert!(archives.get(&cache, &key('a')).await.was_cached);
    assert_eq!(archives.fetched(), 1);
    drop(cache);
    archives.cache(10);
    assert_eq!(archives.on_disk().len(), 0, "a smaller cache starts by evicting");
}

#[tokio::test]
async fn an_abandoned_extraction_leaves_nothing() {
    let archives = Archives::new();
    let cache = archives.cache(u64::MAX);
    let large = archives.archive_of(256 << 20);
    let key = key('a');
    let get = cache.get(&key, async || Ok::<_, std::io::Error>(large));
    assert!(tokio::time::timeout(Duration::from_millis(20), get).await.is_err());
    let deadline = Instant::now() + Duration::from_secs(10);
    while !archives.on_disk().is_empty() {
        assert!(Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    assert_eq!(size(archives.get(&cache, &key).await.path()), 100_000);
}

#[test]
fn keys_are_safe_as_file_names() {
    let digest = "0".repeat(64);
    for (org, sha256) in
        [("", &digest), ("../x", &digest), ("a.b", &digest), ("a", &"0".repeat(63)), ("a", &"G".repeat(64))]
    {
        assert!(TreeKey::new(org, sha256).is_none(), "{org} {sha256}");
    }
}

/// What cannot be removed is in nobody's way, and goes when it can.
#[tokio::test]
async fn an_evicted_tree_that_cannot_be_removed_is_tried_again() {
    let archives = Archives::new();
    let cache = archives.cache(150_000);
    let keys = ["a", "b", "c"].map(|digit| TreeKey::new("org", &digit.repeat(64)).unwrap());
    let tree = archives.get(&cache, &keys[0]).await;
    let stuck = tree.path().to_owned();
    rustix::mount::mount("none", &stuck, "tmpfs", rustix::mount::MountFlags::empty(), None).unwrap();
    drop(tree);
    let second = archives.get(&cache, &keys[1]).await;
    assert_eq!(fs::read_dir(archives.cache_folder()).unwrap().count(), 2, "the tree and what is left of another");
    // The same tree is made again beside it.
    drop(second);
    let again = archives.get(&cache, &keys[0]).await;
    assert!(!again.was_cached && again.path().join("file").exists());
    let mut paths = fs::read_dir(archives.cache_folder()).unwrap().flatten().map(|entry| entry.path());
    let temporary = paths.find(|path| path.to_string_lossy().contains("temporary")).unwrap();
    rustix::mount::unmount(temporary.join("tree"), rustix::mount::UnmountFlags::DETACH).unwrap();
    drop(again);
    let _third = archives.get(&cache, &keys[2]).await;
    assert_eq!(fs::read_dir(archives.cache_folder()).unwrap().count(), 1);
}
