//! Appends entries to the log: computes the tiles and bundles to write, and the tree that they belong to. Pure, so that
//! the same entries give the same bytes again.

use anyhow::Context as _;
use bytes::Bytes;
use schemas::merkle::leaf_hash;
use schemas::transparency::entry::write_bundle;
use schemas::transparency::proof::TreeHead;
use schemas::transparency::tile::{FULL_WIDTH, Resource, Tile};
use schemas::transparency::tree::{Edge, FilledTile};

/// The end of the log, to which new entries are appended.
#[derive(Debug, Clone, Default)]
pub(super) struct Tail {
    pub edge: Edge,
    /// The entries of the last bundle, as long as it is not full.
    pub entries: Vec<Vec<u8>>,
}

/// An object of the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Object {
    pub resource: Resource,
    pub body: Bytes,
}

impl Tail {
    pub(super) fn tree(&self) -> TreeHead {
        TreeHead { size: self.edge.size(), root: self.edge.root() }
    }

    /// Appends the entries, and returns every object that the larger tree has and the smaller one did not.
    pub(super) fn append(&mut self, entries: Vec<Vec<u8>>) -> anyhow::Result<Vec<Object>> {
        let mut objects = Vec::new();
        let before = Edge::tiles(self.edge.size());
        for entry in entries {
            let mut write = |full: FilledTile| objects.push(hashes(&full));
            self.edge.append(leaf_hash(&entry), &mut write)?;
            self.entries.push(entry);
            if self.entries.len() as u64 == FULL_WIDTH {
                let index = self.edge.size() / FULL_WIDTH - 1;
                objects.push(self.bundle(index)?);
                self.entries.clear();
            }
        }
        // A partial tile of a higher level often stays as it is.
        objects.extend(self.edge.partial().filter(|partial| !before.contains(&partial.tile)).map(|tile| hashes(&tile)));
        if !self.entries.is_empty() {
            objects.push(self.bundle(self.edge.size() / FULL_WIDTH)?);
        }
        Ok(objects)
    }

    fn bundle(&self, index: u64) -> anyhow::Result<Object> {
        let tile = Tile::in_tree(0, index, self.edge.size()).context("a bundle outside of the tree")?;
        let body = write_bundle(self.entries.iter().map(Vec::as_slice)).context("an entry is too long")?;
        Ok(Object { resource: Resource::Entries(tile), body: body.into() })
    }
}

fn hashes(filled: &FilledTile) -> Object {
    Object { resource: Resource::Hashes(filled.tile), body: filled.to_bytes().into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use schemas::merkle;

    fn entries(range: std::ops::Range<u64>) -> Vec<Vec<u8>> {
        range.map(|index| index.to_string().into_bytes()).collect()
    }

    #[test]
    fn a_group_writes_what_is_new_and_nothing_twice() {
        let mut tail = Tail::default();
        let mut paths = |entries| {
            let objects = tail.append(entries).unwrap();
            objects.iter().map(|object| object.resource.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(paths(entries(0..2)), ["tile/0/000.p/2", "tile/entries/000.p/2"]);
        let second = ["tile/0/000", "tile/entries/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/001.p/44"];
        assert_eq!(paths(entries(2..300)), second);
        assert_eq!(paths(entries(300..301)), ["tile/0/001.p/45", "tile/entries/001.p/45"]);
        assert_eq!(paths(entries(301..512)), ["tile/0/001", "tile/entries/001", "tile/1/000.p/2"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn however_entries_are_grouped_the_tree_is_the_same(cuts in prop::collection::vec(1_u64..400, 1..6)) {
            let (mut tail, mut size) = (Tail::default(), 0);
            let mut last = Vec::new();
            for cut in cuts {
                last = tail.append(entries(size..size + cut)).unwrap();
                size += cut;
            }
            let leaves: Vec<_> = entries(0..size).iter().map(|entry| leaf_hash(entry)).collect();
            prop_assert_eq!(tail.tree(), TreeHead { size, root: merkle::root(&leaves) });
            prop_assert!(last.iter().all(|object| object.body.len() <= object.resource.max_bytes()));
        }
    }
}
