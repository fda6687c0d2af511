//! The content of a table's current snapshot: its manifests and the data files in them. They are small, and stay in
//! memory.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use database::row::signed;
use infra::s3::Store;
use schemas::lake::FileName;
use time::Date;

use super::manifest::{
    self, ADDED, DELETED, DataFile, EXISTING, ManifestEntry, ManifestFile, Partition, PartitionSummary,
};
use super::plan::{Change, Rows};

/// Up to this many files, a day's last manifest is rewritten with the new ones, so that readers open few manifests.
const FILES_OF_A_MANIFEST: usize = 256;

/// A data file that is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Registered {
    pub file: FileName,
    pub rows: u64,
    pub bytes: u64,
    snapshot: i64,
    sequence_number: i64,
}

/// A manifest of one day.
#[derive(Debug, Clone)]
pub(super) struct Manifest {
    pub about: ManifestFile,
    pub day: Date,
    pub files: Vec<Registered>,
}

/// A manifest that is to be written for a new snapshot.
#[derive(Debug)]
pub(super) struct NewManifest {
    pub day: Date,
    pub entries: Vec<ManifestEntry>,
    files: Vec<Registered>,
}

/// The manifests that a change leaves as they are, and those that it makes.
#[derive(Debug)]
pub(super) struct Rewrite {
    pub kept: Vec<Manifest>,
    pub new: Vec<NewManifest>,
}

/// `s3://bucket/key` of an object in our bucket.
pub(super) fn location(store: &Store, key: &str) -> String {
    format!("s3://{}/{key}", store.bucket())
}

/// The key of an object in our bucket, if that is where it is.
pub(super) fn key<'a>(store: &Store, location: &'a str) -> Option<&'a str> {
    location.strip_prefix("s3://")?.strip_prefix(store.bucket())?.strip_prefix('/')
}

/// Loads the manifests of a list. Files of others are left out: the collector is the one writer.
pub(super) async fn load(store: &Store, list: &str) -> anyhow::Result<Vec<Manifest>> {
    let Some(list) = key(store, list) else { return Ok(Vec::new()) };
    let mut manifests = Vec::new();
    for about in manifest::read::<ManifestFile>(&store.get(list).await?).with_context(|| format!("`{list}`"))? {
        let Some(key) = key(store, &about.manifest_path) else { continue };
        let entries: Vec<ManifestEntry> = manifest::read(&store.get(key).await?).with_context(|| format!("`{key}`"))?;
        let files: Vec<Registered> = entries.iter().filter_map(|entry| registered(store, &about, entry)).collect();
        if let Some(first) = files.first() {
            manifests.push(Manifest { day: first.file.date, about, files });
        }
    }
    Ok(manifests)
}

fn registered(store: &Store, about: &ManifestFile, entry: &ManifestEntry) -> Option<Registered> {
    if entry.status == DELETED {
        return None;
    }
    Some(Registered {
        file: key(store, &entry.data_file.file_path)?.parse().ok()?,
        rows: u64::try_from(entry.data_file.record_count).ok()?,
        bytes: u64::try_from(entry.data_file.file_size_in_bytes).ok()?,
        // The values of the manifest stand in where the entry has none.
        snapshot: entry.snapshot_id.unwrap_or(about.added_snapshot_id),
        sequence_number: entry.sequence_number.unwrap_or(about.sequence_number),
    })
}

pub(super) fn rows(manifests: &[Manifest]) -> Rows {
    manifests.iter().flat_map(|manifest| &manifest.files).map(|file| (file.file, file.rows)).collect()
}

/// `sizes` are those of the added files in bytes.
pub(super) fn rewrite(
    store: &Store,
    manifests: &[Manifest],
    change: &Change,
    sizes: &BTreeMap<FileName, u64>,
    (snapshot, sequence_number): (i64, i64),
) -> Rewrite {
    let days: BTreeSet<Date> = change.added.keys().chain(change.removed.keys()).map(|file| file.date).collect();
    let (mut kept, mut new) = (Vec::new(), Vec::new());
    let mut touched: BTreeMap<Date, Vec<&Manifest>> = BTreeMap::new();
    // A manifest that only lists deleted files has served its purpose.
    let manifests: Vec<&Manifest> = manifests.iter().filter(|manifest| !manifest.files.is_empty()).collect();
    for (position, &manifest) in manifests.iter().enumerate() {
        let is_last = !manifests[position + 1..].iter().any(|later| later.day == manifest.day);
        let has_removed = manifest.files.iter().any(|file| change.removed.contains_key(&file.file));
        let has_room = is_last && manifest.files.len() < FILES_OF_A_MANIFEST;
        if has_removed || (has_room && days.contains(&manifest.day)) {
            touched.entry(manifest.day).or_default().push(manifest);
        } else {
            kept.push(manifest.clone());
        }
    }
    for day in days {
        let mut manifest = NewManifest { day, entries: Vec::new(), files: Vec::new() };
        for file in touched.remove(&day).into_iter().flatten().flat_map(|manifest| &manifest.files) {
            if change.removed.contains_key(&file.file) {
                let gone = Registered { snapshot, ..*file };
                manifest.entries.push(entry(store, DELETED, &gone, Some(file.sequence_number)));
            } else {
                manifest.entries.push(entry(store, EXISTING, file, Some(file.sequence_number)));
                manifest.files.push(*file);
            }
        }
        for (file, rows) in change.added.iter().filter(|(file, _)| file.date == day) {
            let bytes = sizes.get(file).copied().unwrap_or_default();
            let file = Registered { file: *file, rows: *rows, bytes, snapshot, sequence_number };
            manifest.entries.push(entry(store, ADDED, &file, None));
            manifest.files.push(file);
        }
        new.push(manifest);
    }
    Rewrite { kept, new }
}

fn entry(store: &Store, status: i32, file: &Registered, sequence_number: Option<i64>) -> ManifestEntry {
    ManifestEntry {
        status,
        snapshot_id: Some(file.snapshot),
        sequence_number,
        file_sequence_number: sequence_number,
        data_file: DataFile {
            content: 0,
            file_path: location(store, &file.file.to_string()),
            file_format: "PARQUET".to_owned(),
            partition: Partition { date: Some(manifest::days(file.file.date)) },
            record_count: signed(file.rows),
            file_size_in_bytes: signed(file.bytes),
        },
    }
}

impl NewManifest {
    /// The manifest as the list has it, once it is written.
    pub(super) fn written(self, location: String, length: usize, spec_id: i32, ids: (i64, i64)) -> Manifest {
        let (snapshot, sequence_number) = ids;
        let of = |status: i32| self.entries.iter().filter(move |entry| entry.status == status);
        let count = |status| i32::try_from(of(status).count()).unwrap_or(i32::MAX);
        let rows = |status| of(status).map(|entry| entry.data_file.record_count).sum();
        let oldest = self.files.iter().map(|file| file.sequence_number).min();
        let about = ManifestFile {
            manifest_path: location,
            manifest_length: signed(length as u64),
            partition_spec_id: spec_id,
            content: 0,
            sequence_number,
            min_sequence_number: oldest.unwrap_or(sequence_number),
            added_snapshot_id: snapshot,
            added_files_count: count(ADDED),
            existing_files_count: count(EXISTING),
            deleted_files_count: count(DELETED),
            added_rows_count: rows(ADDED),
            existing_rows_count: rows(EXISTING),
            deleted_rows_count: rows(DELETED),
            partitions: Some(vec![PartitionSummary::of(manifest::days(self.day))]),
        };
        Manifest { about, day: self.day, files: self.files }
    }
}
