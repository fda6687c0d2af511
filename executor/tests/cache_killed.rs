//! The extraction cache when whoever fills it is killed (SIGKILL, a process of its own) or gives up: what is there is
//! complete, what is not complete is gone with the next start, and others go on.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use executor::extraction::ExtractLimits;
use executor::trees::{CacheConfig, CachedTree, TreeCache, TreeKey};
use flate2::{Compression, write::GzEncoder};

const DEADLINE: Duration = Duration::from_secs(30);
const FOLDERS: usize = 40;
const FILES: usize = 25;
/// Tells the process that is killed where to work.
const WORK: &str = "CROWNEST_TEST_CACHE";

fn open(folder: &Path) -> TreeCache {
    let config = CacheConfig { folder: folder.join("cache"), max_bytes: u64::MAX, limits: ExtractLimits::default() };
    TreeCache::open(config).unwrap()
}

fn key() -> TreeKey {
    TreeKey::new("org_1", &"a".repeat(64)).unwrap()
}

/// 1,000 files, each of which says its name.
fn make_archive(folder: &Path) {
    let file = fs::File::create(folder.join("archive.tgz")).unwrap();
    let mut builder = tar::Builder::new(GzEncoder::new(file, Compression::fast()));
    for (directory, number) in (0..FOLDERS).flat_map(|directory| (0..FILES).map(move |number| (directory, number))) {
        let content = content(directory, number);
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, format!("{directory}/{number}"), content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap();
}

fn content(directory: usize, number: usize) -> String {
    format!("{directory}/{number} ").repeat(400)
}

fn assert_complete(tree: &Path) {
    for (directory, number) in (0..FOLDERS).flat_map(|directory| (0..FILES).map(move |number| (directory, number))) {
        let found = fs::read_to_string(tree.join(format!("{directory}/{number}")));
        assert!(found.is_ok_and(|found| found == content(directory, number)), "{directory}/{number}");
    }
    assert_eq!(fs::read_dir(tree).unwrap().count(), FOLDERS);
}

async fn get(cache: &TreeCache, archive: PathBuf) -> CachedTree {
    cache.get(&key(), async || Ok::<_, std::io::Error>(archive)).await.unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

/// This test is also the process that the next one kills: then it works in the folder that it is told.
#[tokio::test]
async fn a_tree_is_extracted_by_a_process_of_its_own() {
    let own = tempfile::tempdir().unwrap();
    let folder = std::env::var_os(WORK).map_or_else(|| own.path().to_owned(), PathBuf::from);
    if !folder.join("archive.tgz").exists() {
        make_archive(&folder);
    }
    let tree = get(&open(&folder), folder.join("archive.tgz")).await;
    assert_complete(tree.path());
}

fn start_extracting(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_tree_is_extracted_by_a_process_of_its_own"])
        .env(WORK, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The progress of an extraction: folders that have been begun.
fn begun(folder: &Path) -> usize {
    let cache = folder.join("cache");
    let temporary = names(&cache).into_iter().find(|name| name.starts_with("temporary-"));
    temporary.map_or(0, |temporary| names(&cache.join(temporary).join("tree")).len())
}

#[tokio::test]
async fn kill_9_leaves_nothing_half_written() {
    let home = format!("org_1.{}", "a".repeat(64));
    let mut interrupted = 0;
    for folders in [1, 2, 10, 25, 39] {
        let folder = tempfile::tempdir().unwrap();
        make_archive(folder.path());
        let mut child = start_extracting(folder.path());
        let deadline = Instant::now() + DEADLINE;
        loop {
            // Asked first: a process that has ended has left what it made.
            let ended = child.try_wait().unwrap().is_some();
            if begun(folder.path()) >= folders || folder.path().join("cache").join(&home).exists() {
                break;
            }
            assert!(Instant::now() < deadline && !ended, "nothing is extracted");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let left = names(&folder.path().join("cache"));
        interrupted += usize::from(!left.contains(&home));
        let cache = open(folder.path());
        let swept = names(&folder.path().join("cache"));
        assert!(swept.iter().all(|name| *name == home), "{swept:?} after {left:?}");
        let tree = get(&cache, folder.path().join("archive.tgz")).await;
        assert_eq!(tree.was_cached, left.contains(&home), "what was complete is used, nothing else");
        assert_complete(tree.path());
    }
    assert!(interrupted > 0, "no extraction was killed in the middle");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_waits_goes_on_when_the_first_gives_up() {
    let folder = tempfile::tempdir().unwrap();
    make_archive(folder.path());
    let cache = open(folder.path());
    let fetched = Arc::new(AtomicUsize::new(0));
    let ask = || {
        let (cache, fetched, archive) = (cache.clone(), Arc::clone(&fetched), folder.path().join("archive.tgz"));
        tokio::spawn(async move {
            let fetch = async || {
                fetched.fetch_add(1, Ordering::Relaxed);
                Ok::<_, std::io::Error>(archive)
            };
            cache.get(&key(), fetch).await.unwrap()
        })
    };
    let first = ask();
    let deadline = Instant::now() + DEADLINE;
    while begun(folder.path()) == 0 && !first.is_finished() {
        assert!(Instant::now() < deadline, "nothing is extracted");
        tokio::task::yield_now().await;
    }
    let others: Vec<_> = (0..8).map(|_| ask()).collect();
    first.abort();
    for other in others {
        let tree = tokio::time::timeout(DEADLINE, other).await.expect("somebody extracts it").unwrap();
        assert_complete(tree.path());
    }
    assert!(fetched.load(Ordering::Relaxed) <= 2, "it was extracted again and again");
    let deadline = Instant::now() + DEADLINE;
    while names(&folder.path().join("cache")).len() > 1 {
        assert!(Instant::now() < deadline, "{:?}", names(&folder.path().join("cache")));
        tokio::task::yield_now().await;
    }
}
