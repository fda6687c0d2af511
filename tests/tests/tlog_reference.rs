//! Our tree against another implementation of C2SP tlog-tiles and tlog-checkpoint (Cloudflare's, after Go's checksum
//! database): it finds our tiles where it looks for them, and each accepts the other's proofs.

use std::collections::BTreeMap;
use std::ops::Range;

use schemas::merkle::{self, Hash, leaf_hash};
use schemas::transparency::checkpoint::Checkpoint;
use schemas::transparency::proof::{TreeHead, verify_consistency, verify_inclusion};
use schemas::transparency::range;
use schemas::transparency::tile::Resource;
use schemas::transparency::tiles::{self, Tiles};
use schemas::transparency::tree::{Edge, FilledTile};
use tlog_tiles as reference;

/// Our objects, by their paths.
struct Store(BTreeMap<String, Vec<u8>>);

impl reference::TileReader for Store {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[reference::Tile]) -> Result<Vec<Vec<u8>>, reference::Error> {
        let read = |tile: &reference::Tile| {
            // The path may name the height, which tlog-tiles fixes at 8.
            let path = tile.path().replacen("tile/8/", "tile/", 1);
            self.0.get(&path).unwrap_or_else(|| panic!("we have no {path}")).clone()
        };
        Ok(tiles.iter().map(read).collect())
    }

    fn save_tiles(&self, _: &[reference::Tile], _: &[Vec<u8>]) {}
}

impl Store {
    fn keep(&mut self, filled: &FilledTile) {
        self.0.insert(Resource::Hashes(filled.tile).to_string(), filled.to_bytes());
    }

    fn tiles(&self, size: u64, ranges: &[Range<u64>]) -> Tiles {
        let mut tiles = Tiles::new(size);
        for tile in tiles::needed(ranges, size) {
            tiles.insert(tile, &self.0[&Resource::Hashes(tile).to_string()]).expect("a whole tile");
        }
        tiles
    }
}

/// A tree that was published at each of these sizes.
fn grown(sizes: &[u64]) -> (Store, Vec<TreeHead>, Vec<Hash>) {
    let (mut edge, mut store, mut leaves) = (Edge::default(), Store(BTreeMap::new()), Vec::new());
    let mut heads = Vec::new();
    for &size in sizes {
        for index in edge.size()..size {
            leaves.push(leaf_hash(&index.to_be_bytes()));
            edge.append(leaves[leaves.len() - 1], &mut |full| store.keep(&full)).expect("it is not full");
        }
        edge.partial().for_each(|partial| store.keep(&partial));
        heads.push(TreeHead { size, root: edge.root() });
    }
    (store, heads, leaves)
}

#[test]
fn both_prove_the_same_of_the_same_tiles() {
    let (store, heads, leaves) = grown(&[1, 2, 255, 256, 257, 1000, 65_535, 65_536, 66_000]);
    for (at, head) in heads.iter().enumerate() {
        let (size, root) = (head.size, reference::Hash(head.root));
        let reader = reference::TileHashReader::new(size, root, &store);
        assert_eq!(reference::tree_hash(size, &reader).unwrap(), root);
        for index in [0, size / 2, size - 1] {
            let leaf = leaves[usize::try_from(index).unwrap()];
            let theirs = reference::prove_record(size, index, &reader).unwrap();
            let ours = store.tiles(size, &range::inclusion(index, size).unwrap()).inclusion_proof(index).unwrap();
            assert_eq!(theirs.iter().map(|hash| hash.0).collect::<Vec<_>>(), ours, "{index} of {size}");
            reference::check_record(&theirs, size, root, index, reference::Hash(leaf)).unwrap();
            verify_inclusion(&leaf, index, size, &ours, &head.root).unwrap();
        }
        for old in &heads[..at] {
            let theirs = reference::prove_tree(size, old.size, &reader).unwrap();
            let ranges = range::consistency(old.size, size).unwrap();
            let ours = store.tiles(size, &ranges).consistency_proof(old.size).unwrap();
            assert_eq!(theirs.iter().map(|hash| hash.0).collect::<Vec<_>>(), ours, "{} to {size}", old.size);
            reference::check_tree(&theirs, size, root, old.size, reference::Hash(old.root)).unwrap();
            verify_consistency(old, head, &ours).unwrap();
        }
    }
    assert_eq!(merkle::root(&leaves), heads[heads.len() - 1].root);
}

#[test]
fn it_reads_our_checkpoints() {
    let tree = TreeHead { size: 20_852_163, root: [7; 32] };
    let text = Checkpoint { origin: "example.com/tlog".to_owned(), tree }.to_text();
    let read = reference::Checkpoint::from_bytes(text.as_bytes()).unwrap();
    assert_eq!((read.origin(), read.size(), read.hash().0), ("example.com/tlog", 20_852_163, [7; 32]));
    assert_eq!(read.to_bytes(), text.as_bytes());
}
