//! The whole log, entry by entry: what is in the bundles must have the signed root, and no run may have two entries.

use std::collections::HashSet;

use futures_util::{StreamExt as _, stream};
use schemas::merkle::leaf_hash;
use schemas::transparency::entry::{Entry, read_bundle};
use schemas::transparency::proof::TreeHead;
use schemas::transparency::tile::{Resource, Tile};
use schemas::transparency::tree::Edge;

use super::log_reader::{CONCURRENT, or_full};
use super::report::Finding;
use crate::client::Client;
use crate::failure::Failure;

/// More findings of one kind say nothing new.
const MAX_FINDINGS: usize = 100;

/// What is wrong with the entries of the tree.
pub(crate) async fn read_all(client: &Client, tree: TreeHead) -> Result<Vec<Finding>, Failure> {
    let (mut edge, mut runs, mut findings) = (Edge::default(), HashSet::new(), Vec::new());
    let bundles = (0..).map_while(|index| Tile::in_tree(0, index, tree.size)).map(|tile| async move {
        (tile, or_full(client, Resource::Entries(tile), Resource::Entries(tile.filled())).await)
    });
    let mut bundles = stream::iter(bundles).buffered(CONCURRENT);
    while let Some((tile, bundle)) = bundles.next().await {
        let bundle = bundle?;
        let entries = match read_bundle(tile, &bundle) {
            Ok(entries) => entries,
            Err(error) => {
                let message = format!("{}: {error}", Resource::Entries(tile));
                return Ok(vec![Finding::new("entries_changed", message)]);
            }
        };
        for entry in entries {
            let index = edge.size();
            let appended = edge.append(leaf_hash(entry), &mut drop);
            appended.map_err(|error| Failure::invalid_answer(error.to_string()))?;
            if findings.len() < MAX_FINDINGS {
                findings.extend(judge(index, entry, &mut runs));
            }
        }
    }
    if edge.root() != tree.root {
        let (got, signed) = (hex::encode(edge.root()), hex::encode(tree.root));
        let message = format!("the entries have root hash {got}, the checkpoint says {signed}: they were changed");
        findings.insert(0, Finding::new("entries_changed", message));
    }
    Ok(findings)
}

fn judge(index: u64, entry: &[u8], runs: &mut HashSet<[u8; 16]>) -> Option<Finding> {
    let parsed: Option<Entry> = serde_json::from_slice(entry).ok();
    // Half of the digest is enough to tell runs apart, and half the memory.
    let run = parsed.and_then(|entry| <[u8; 32]>::try_from(hex::decode(entry.run_sha256).ok()?).ok());
    let Some(run) = run else {
        return Some(Finding::new("invalid_entry", format!("entry {index} is not about a run")));
    };
    let mut half = [0; 16];
    half.copy_from_slice(&run[..16]);
    if runs.insert(half) {
        return None;
    }
    let message = format!("entry {index} is the second one for the run with SHA-256 {}", hex::encode(run));
    Some(Finding::new("duplicate_entry", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_entry_for_a_run_is_found() {
        let entry = |run: &str| {
            let run = run.repeat(32);
            format!("{{\"evidenceSha256\":\"e\",\"runSha256\":\"{run}\",\"sealedAt\":\"2026-01-31T12:00:00.000Z\"}}")
        };
        let mut runs = HashSet::new();
        let mut codes = |entry: &str| judge(7, entry.as_bytes(), &mut runs).map(|finding| finding.code);
        assert_eq!(codes(&entry("aa")), None);
        assert_eq!(codes(&entry("bb")), None);
        assert_eq!(codes(&entry("aa")), Some("duplicate_entry"));
        assert_eq!(codes(&entry("x")), Some("invalid_entry"));
        assert_eq!(codes("{}"), Some("invalid_entry"));
    }
}
