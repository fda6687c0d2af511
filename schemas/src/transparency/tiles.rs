//! Fetched tiles, and the hashes of a tree that follow from them. The tiles that a proof needs are known beforehand.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::range::{self, Subtree, subtrees};
use super::tile::{FULL_WIDTH, Tile};
use crate::merkle::{self, Hash, node_hash};

/// The tiles from which the roots of these ranges of leaves can be computed, in a tree of this size.
pub fn needed(ranges: &[Range<u64>], tree_size: u64) -> BTreeSet<Tile> {
    let tile = |subtree| Place::of(subtree).and_then(|place| Tile::in_tree(place.level, place.tile_index, tree_size));
    ranges.iter().flat_map(subtrees).filter_map(tile).collect()
}

/// The tiles from which the root of a tree can be computed.
pub fn of_root(tree_size: u64) -> BTreeSet<Tile> {
    #[expect(clippy::single_range_in_vec_init, reason = "all leaves are one range")]
    needed(&[0..tree_size], tree_size)
}

/// Tiles of one tree, taken on trust: the caller compares the outcome with a signed root.
#[derive(Debug)]
pub struct Tiles {
    tree_size: u64,
    tiles: BTreeMap<(u8, u64), Vec<Hash>>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a tile of {expected} hashes, got {got} bytes")]
pub struct InvalidTile {
    expected: usize,
    got: usize,
}

impl Tiles {
    pub fn new(tree_size: u64) -> Self {
        Self { tree_size, tiles: BTreeMap::new() }
    }

    /// Takes the bytes of this tile, or of the full one that replaced it.
    pub fn insert(&mut self, tile: Tile, bytes: &[u8]) -> Result<(), InvalidTile> {
        let (hashes, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() || (hashes.len() != tile.width() && hashes.len() as u64 != FULL_WIDTH) {
            return Err(InvalidTile { expected: tile.width(), got: bytes.len() });
        }
        let hashes = hashes.get(..tile.width()).unwrap_or_default();
        self.tiles.insert((tile.level(), tile.index()), hashes.to_vec());
        Ok(())
    }

    pub fn has(&self, tile: Tile) -> bool {
        self.tiles.contains_key(&(tile.level(), tile.index()))
    }

    /// The root over a range of leaves as it occurs in proofs; `None` if a tile is missing.
    pub fn root_of(&self, range: &Range<u64>) -> Option<Hash> {
        let hashes: Vec<Hash> =
            subtrees(range).into_iter().map(|subtree| self.subtree(subtree)).collect::<Option<_>>()?;
        Some(
            hashes
                .into_iter()
                .rev()
                .reduce(|right, left| node_hash(&left, &right))
                .unwrap_or_else(|| merkle::root(&[])),
        )
    }

    pub fn root(&self) -> Option<Hash> {
        self.root_of(&(0..self.tree_size))
    }

    pub fn inclusion_proof(&self, leaf_index: u64) -> Option<Vec<Hash>> {
        range::inclusion(leaf_index, self.tree_size)?.iter().map(|range| self.root_of(range)).collect()
    }

    pub fn consistency_proof(&self, old_size: u64) -> Option<Vec<Hash>> {
        range::consistency(old_size, self.tree_size)?.iter().map(|range| self.root_of(range)).collect()
    }

    fn subtree(&self, subtree: Subtree) -> Option<Hash> {
        let place = Place::of(subtree)?;
        let tile = self.tiles.get(&(place.level, place.tile_index))?;
        tile.get(place.hashes).map(merkle::root)
    }
}

/// Place of the hashes below a complete subtree.
struct Place {
    level: u8,
    tile_index: u64,
    hashes: Range<usize>,
}

impl Place {
    fn of(subtree: Subtree) -> Option<Self> {
        let within = subtree.height % 8;
        let first = subtree.index << within;
        let begin = usize::try_from(first % FULL_WIDTH).ok()?;
        Some(Self {
            level: u8::try_from(subtree.height / 8).ok()?,
            tile_index: first / FULL_WIDTH,
            hashes: begin..begin + (1 << within),
        })
    }
}
