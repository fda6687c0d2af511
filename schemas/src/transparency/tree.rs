//! A growing tree: its right edge, to which new leaves are appended, and the tiles that result.

use super::MAX_TREE_SIZE;
use super::tile::{FULL_WIDTH, Tile};
use crate::merkle::{self, Hash, node_hash};

/// The partial tile of each level, from the leaves up; a full one has been hashed into the level above.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

/// A tile with its hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilledTile {
    pub tile: Tile,
    pub hashes: Vec<Hash>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the log is full: it has {MAX_TREE_SIZE} entries")]
pub struct Full;

impl Edge {
    /// The tiles that the edge of a tree of this size consists of, for [`Edge::restore`].
    pub fn tiles(tree_size: u64) -> Vec<Tile> {
        (0..=super::tile::MAX_LEVEL)
            .filter_map(|level| {
                let hashes = tree_size >> (8 * u32::from(level));
                Tile::in_tree(level, hashes / FULL_WIDTH, tree_size)
            })
            .collect()
    }

    /// Rebuilds the edge from its tiles, unchecked: compare its root.
    pub fn restore(tree_size: u64, tiles: Vec<FilledTile>) -> Self {
        let mut edge = Self { size: tree_size, levels: Vec::new() };
        for filled in tiles {
            *edge.level(usize::from(filled.tile.level())) = filled.hashes;
        }
        edge
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf; `full` receives every tile that the leaf completes.
    pub fn append(&mut self, leaf: Hash, full: &mut impl FnMut(FilledTile)) -> Result<(), Full> {
        if self.size >= MAX_TREE_SIZE {
            return Err(Full);
        }
        self.size += 1;
        let (mut hash, mut level) = (leaf, 0_u8);
        loop {
            let hashes = self.level(usize::from(level));
            hashes.push(hash);
            if (hashes.len() as u64) < FULL_WIDTH {
                return Ok(());
            }
            let hashes = std::mem::take(hashes);
            hash = merkle::root(&hashes);
            let index = (self.size >> (8 * u32::from(level + 1))) - 1;
            let tile = Tile::in_tree(level, index, self.size).ok_or(Full)?;
            full(FilledTile { tile, hashes });
            level += 1;
        }
    }

    /// The tiles that are not full yet, from the leaves up.
    pub fn partial(&self) -> impl Iterator<Item = FilledTile> {
        Self::tiles(self.size).into_iter().map(|tile| {
            let hashes = self.levels.get(usize::from(tile.level())).cloned().unwrap_or_default();
            FilledTile { tile, hashes }
        })
    }

    pub fn root(&self) -> Hash {
        // From the right, where subtrees are smallest: each level's hashes are complete subtrees of one height, of which
        // the lowest bit of their number says whether one is left over.
        let mut root: Option<Hash> = None;
        for hashes in &self.levels {
            let mut end = hashes.len();
            while end > 0 {
                let begin = end & (end - 1);
                let left = merkle::root(hashes.get(begin..end).unwrap_or_default());
                root = Some(root.map_or(left, |right| node_hash(&left, &right)));
                end = begin;
            }
        }
        root.unwrap_or_else(|| merkle::root(&[]))
    }

    fn level(&mut self, level: usize) -> &mut Vec<Hash> {
        if self.levels.len() <= level {
            self.levels.resize(level + 1, Vec::new());
        }
        &mut self.levels[level]
    }
}

impl FilledTile {
    pub fn to_bytes(&self) -> Vec<u8> {
        self.hashes.concat()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::tiles::{self, Tiles};
    use super::super::{naive, range};
    use super::*;
    use proptest::prelude::*;

    /// The edge after these leaves, and every tile that was written on the way, `batch` leaves at a time.
    fn grown(leaves: &[Hash], batch: usize) -> (Edge, BTreeMap<Tile, Vec<u8>>) {
        let (mut edge, mut store) = (Edge::default(), BTreeMap::new());
        for leaves in leaves.chunks(batch) {
            for leaf in leaves {
                let mut keep = |full: FilledTile| assert!(store.insert(full.tile, full.to_bytes()).is_none());
                edge.append(*leaf, &mut keep).unwrap();
            }
            store.extend(edge.partial().map(|partial| (partial.tile, partial.to_bytes())));
        }
        (edge, store)
    }

    fn fetched(store: &BTreeMap<Tile, Vec<u8>>, needed: impl IntoIterator<Item = Tile>, size: u64) -> Tiles {
        let mut tiles = Tiles::new(size);
        for tile in needed {
            tiles.insert(tile, store.get(&tile).unwrap_or_else(|| panic!("{tile:?} was not written"))).unwrap();
        }
        tiles
    }

    #[test]
    fn three_levels_of_tiles_have_the_root_of_the_naive_tree() {
        let leaves = naive::leaves(65_536 + 2 * 256 + 3);
        let (edge, store) = grown(&leaves, 10_000);
        assert_eq!(edge.root(), merkle::root(&leaves));
        let size = edge.size();
        assert_eq!(fetched(&store, tiles::of_root(size), size).root(), Some(edge.root()));
        let partial: Vec<_> = edge.partial().map(|partial| (partial.tile.level(), partial.tile.width())).collect();
        assert_eq!(partial, [(0, 3), (1, 2), (2, 1)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn tiles_give_the_proofs_of_the_naive_tree(size in 1_u64..1500, batch in 1_usize..700, at in any::<u64>(), old in any::<u64>()) {
            let leaves = naive::leaves(size);
            let (edge, store) = grown(&leaves, batch);
            prop_assert_eq!(edge.root(), merkle::root(&leaves));
            let (index, old) = (at % size, 1 + old % size);

            let needed = tiles::needed(&range::inclusion(index, size).unwrap(), size);
            prop_assert_eq!(fetched(&store, needed, size).inclusion_proof(index), Some(naive::inclusion(usize::try_from(index).unwrap(), &leaves)));
            let needed = tiles::needed(&range::consistency(old, size).unwrap(), size);
            prop_assert_eq!(fetched(&store, needed, size).consistency_proof(old), Some(naive::consistency(usize::try_from(old).unwrap(), &leaves)));

            // An edge that is restored from the stored tiles is the same tree.
            let tiles = Edge::tiles(size).into_iter().map(|tile| {
                FilledTile { tile, hashes: store[&tile].as_chunks::<32>().0.to_vec() }
            });
            let (mut again, mut further) = (Edge::restore(size, tiles.collect()), edge);
            prop_assert_eq!(&again.root(), &further.root());
            for leaf in naive::leaves(300) {
                again.append(leaf, &mut drop).unwrap();
                further.append(leaf, &mut drop).unwrap();
            }
            prop_assert_eq!(again.root(), further.root());
        }
    }
}
