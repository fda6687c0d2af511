//! Makes a folder the same as the tables in the object store.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::path::PathBuf;

use futures_util::{StreamExt, TryStreamExt, stream};
use infra::s3::{Store, StoreError};
use schemas::lake::{FileName, PREFIX, Row as _, RunRow, TABLES, snapshot};

use super::Folder;
use crate::atomic_file::AtomicFile;
use crate::failure::{Failure, Stop};

const CONCURRENT_FETCHES: usize = 8;
/// Retries when files are compacted away while they are fetched.
const TRIES: usize = 5;
/// The store's name for the version of each fetched file: tables can be made again under the same names.
const VERSIONS: &str = ".crownest-tables.json";

/// A folder that is up to date.
#[derive(Debug)]
pub(crate) struct Synced {
    pub files: Vec<FileName>,
    pub fetched: u64,
    pub fetched_bytes: u64,
    pub deleted: u64,
    /// While it is held, nobody makes the folder another one.
    pub lock: File,
}

pub(crate) async fn sync(store: &Store, folder: &Folder) -> Result<Synced, Stop> {
    let lock = folder.lock()?;
    let versions_file = folder.path().join(VERSIONS);
    // Without it, or with something else in it, everything is fetched again.
    let known: BTreeMap<String, String> =
        fs::read(&versions_file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let mut synced = Synced { files: Vec::new(), fetched: 0, fetched_bytes: 0, deleted: 0, lock };
    let mut versions = None;
    for _ in 0..TRIES {
        let listed = list(store).await.map_err(|error| failed(&error))?;
        match fetch(store, folder, &known, &listed, &mut synced).await {
            Ok(()) => {
                versions = Some(listed);
                break;
            }
            // Compacted since it was listed.
            Err(Fetch::Gone) => {}
            Err(Fetch::Stop(stop)) => return Err(stop),
        }
    }
    let versions = versions.ok_or_else(|| {
        Failure::new("tables_changing", format!("the tables changed {TRIES} times while they were fetched")).retryable()
    })?;
    let current: HashSet<FileName> = versions.keys().copied().collect();
    for name in folder.present()?.into_iter().filter(|name| !current.contains(name)) {
        let path = folder.file(&name);
        fs::remove_file(&path).map_err(|error| Failure::file("delete", &path, &error))?;
        synced.deleted += 1;
    }
    let text: BTreeMap<String, &String> = versions.iter().map(|(name, etag)| (name.to_string(), etag)).collect();
    write(&versions_file, serde_json::json!(text).to_string().as_bytes())?;
    synced.files = snapshot(current);
    Ok(synced)
}

/// The files to have, with their versions.
async fn list(store: &Store) -> Result<HashMap<FileName, String>, StoreError> {
    let mut listed = HashMap::new();
    // `runs` first: its runs are in all other tables then.
    let runs = RunRow::TABLE.name;
    for table in [runs].into_iter().chain(TABLES.iter().map(|table| table.name).filter(|name| *name != runs)) {
        for object in store.list(&format!("{PREFIX}{table}/")).await? {
            if let Ok(name) = object.key.parse::<FileName>() {
                listed.insert(name, object.etag);
            }
        }
    }
    let current = snapshot(listed.keys().copied());
    Ok(current.into_iter().filter_map(|name| Some((name, listed.remove(&name)?))).collect())
}

enum Fetch {
    Gone,
    Stop(Stop),
}

/// Fetches the files that the folder does not have in this version.
async fn fetch(
    store: &Store,
    folder: &Folder,
    known: &BTreeMap<String, String>,
    listed: &HashMap<FileName, String>,
    synced: &mut Synced,
) -> Result<(), Fetch> {
    let is_new =
        |name: &FileName, etag: &String| known.get(&name.to_string()) != Some(etag) || !folder.file(name).is_file();
    let new =
        listed.iter().filter(|(name, etag)| is_new(name, etag)).map(|(name, _)| (name.to_string(), folder.file(name)));
    let new: Vec<(String, PathBuf)> = new.collect();
    let mut fetched =
        stream::iter(new).map(|(key, path)| fetch_one(store, key, path)).buffer_unordered(CONCURRENT_FETCHES);
    while let Some(bytes) = fetched.try_next().await? {
        synced.fetched += 1;
        synced.fetched_bytes += bytes;
    }
    Ok(())
}

async fn fetch_one(store: &Store, key: String, path: PathBuf) -> Result<u64, Fetch> {
    let bytes = store.get(&key).await.map_err(|error| match error {
        StoreError::NotFound(_) => Fetch::Gone,
        error => Fetch::Stop(failed(&error)),
    })?;
    let folder = path.parent().unwrap_or(&path).to_owned();
    fs::create_dir_all(&folder).map_err(|error| Fetch::Stop(Failure::file("create", &folder, &error).into()))?;
    write(&path, &bytes).map_err(Fetch::Stop)?;
    Ok(bytes.len() as u64)
}

fn write(path: &std::path::Path, bytes: &[u8]) -> Result<(), Stop> {
    let mut file = AtomicFile::create(path, 0o666)?;
    file.write(bytes)?;
    file.finish()?;
    Ok(())
}

fn failed(error: &StoreError) -> Stop {
    // The operator's own store: what it said is what helps.
    let answer = std::error::Error::source(error).map(|answer| format!(": {answer}")).unwrap_or_default();
    Failure::new("store_error", format!("{error}{answer}")).into()
}
