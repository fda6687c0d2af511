//! The whole log, entry by entry: the bundles must have the signed root, and no run may have two entries.

use std::collections::{HashMap, HashSet};

use schemas::id::RunId;
use schemas::merkle::leaf_hash;
use schemas::transparency::entry::{Entry, read_bundle, run_digest};
use schemas::transparency::proof::TreeHead;
use schemas::transparency::tile::{Resource, Tile};
use schemas::transparency::tree::Edge;

use super::report::Finding;

/// More findings of one kind say nothing new.
const MAX_FINDINGS: usize = 100;

/// The entries of a tree, as far as they were read.
#[derive(Debug, Default)]
pub struct Entries {
    edge: Edge,
    runs: HashSet<[u8; 16]>,
    findings: Vec<Finding>,
    /// Runs that are not served any more, by the name that they have in the log.
    missing: HashMap<String, RunId>,
}

impl Entries {
    /// For an audit that has found these runs missing: the log says whether they were sealed.
    pub fn with_missing(runs: impl IntoIterator<Item = RunId>) -> Self {
        let missing = runs.into_iter().map(|run| (run_digest(&run), run)).collect();
        Self { missing, ..Self::default() }
    }

    /// Takes the next bundle of entries. An error makes all that follows meaningless.
    pub fn add(&mut self, tile: Tile, bundle: &[u8]) -> Result<(), Finding> {
        let changed = |error: &dyn std::fmt::Display| {
            Finding::new("entries_changed", format!("{}: {error}", Resource::Entries(tile)))
        };
        for entry in read_bundle(tile, bundle).map_err(|error| changed(&error))? {
            let index = self.edge.size();
            self.edge.append(leaf_hash(entry), &mut drop).map_err(|error| changed(&error))?;
            let parsed: Option<Entry> = serde_json::from_slice(entry).ok();
            if let Some(run) = parsed.as_ref().and_then(|entry| self.missing.remove(&entry.run_sha256)) {
                let message =
                    format!("entry {index} of the log is about this run, and the run is gone: it was removed");
                self.findings.push(Finding::of(&run, "run_removed", message));
            }
            if self.findings.len() < MAX_FINDINGS {
                self.findings.extend(judge(index, parsed, &mut self.runs));
            }
        }
        Ok(())
    }

    /// The findings, once every bundle of the tree was taken.
    pub fn finish(mut self, tree: &TreeHead) -> Vec<Finding> {
        if self.edge.root() != tree.root {
            let (got, signed) = (hex::encode(self.edge.root()), hex::encode(tree.root));
            let message = format!("the entries have root hash {got}, the checkpoint says {signed}: they were changed");
            self.findings.insert(0, Finding::new("entries_changed", message));
        }
        let mut never_sealed: Vec<_> = self.missing.into_values().collect();
        never_sealed.sort();
        let message = "this run does not exist any more, or the key may not see it, and the log has no entry for it";
        self.findings.extend(never_sealed.iter().map(|run| Finding::of(run, "run_missing", message)));
        self.findings
    }
}

fn judge(index: u64, parsed: Option<Entry>, runs: &mut HashSet<[u8; 16]>) -> Option<Finding> {
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
        let mut codes = |entry: &str| judge(7, serde_json::from_str(entry).ok(), &mut runs).map(|finding| finding.code);
        assert_eq!(codes(&entry("aa")), None);
        assert_eq!(codes(&entry("bb")), None);
        assert_eq!(codes(&entry("aa")), Some("duplicate_entry"));
        assert_eq!(codes(&entry("x")), Some("invalid_entry"));
        assert_eq!(codes("{}"), Some("invalid_entry"));
    }
}
