//! The summary that a snapshot has in the catalog: files, rows and bytes that were added, deleted, and are there now.

use std::collections::{BTreeMap, BTreeSet};

use schemas::lake::FileName;
use serde_json::{Value, json};

use super::plan::Change;
use super::state::Manifest;

/// `sizes` are those of the added files in bytes; all values of a summary are texts.
pub(super) fn summary(
    change: &Change,
    sizes: &BTreeMap<FileName, u64>,
    before: &[Manifest],
    now: &[Manifest],
) -> Value {
    let files = now.iter().flat_map(|manifest| &manifest.files);
    let (files, rows, bytes) =
        files.fold((0, 0, 0), |(files, rows, bytes), file| (files + 1, rows + file.rows, bytes + file.bytes));
    let gone = before.iter().flat_map(|manifest| &manifest.files);
    let gone = gone.filter(|file| change.removed.contains_key(&file.file)).map(|file| file.bytes).sum::<u64>();
    let days: BTreeSet<_> = change.added.keys().chain(change.removed.keys()).map(|file| file.date).collect();
    json!({
        "operation": change.operation.as_str(),
        "added-data-files": change.added.len().to_string(),
        "added-records": change.added.values().sum::<u64>().to_string(),
        "added-files-size": sizes.values().sum::<u64>().to_string(),
        "deleted-data-files": change.removed.len().to_string(),
        "deleted-records": change.removed.values().sum::<u64>().to_string(),
        "removed-files-size": gone.to_string(),
        "changed-partition-count": days.len().to_string(),
        "total-data-files": files.to_string(),
        "total-records": rows.to_string(),
        "total-files-size": bytes.to_string(),
        "total-delete-files": "0",
        "total-position-deletes": "0",
        "total-equality-deletes": "0",
    })
}
