//! The log of all evidence, as a stranger may serve it: checkpoints, paths, tiles, bundles of entries, proofs.

use schemas::merkle::Hash;
use schemas::transparency::checkpoint::Checkpoint;
use schemas::transparency::entry::{Entry, read_bundle, write_bundle};
use schemas::transparency::inclusion::{Inclusion, Logged};
use schemas::transparency::note::Note;
use schemas::transparency::proof::{TreeHead, verify_consistency, verify_inclusion};
use schemas::transparency::range;
use schemas::transparency::tile::{Resource, Tile};
use schemas::transparency::tiles::Tiles;

/// A checkpoint, or the path of something else.
pub(crate) fn note(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    if let Ok(resource) = text.parse::<Resource>() {
        assert_eq!(resource.to_string(), text, "it has two names");
        return true;
    }
    let Ok(note) = Note::parse(text) else { return false };
    assert!(text.starts_with(note.text) && note.text.ends_with('\n'));
    assert!(note.verify(&[]).is_err(), "nobody signed it");
    let Ok(checkpoint) = Checkpoint::unverified(text) else { return false };
    assert!(note.text.starts_with(&checkpoint.to_text()), "{checkpoint:?} is not what was signed");
    assert!(Checkpoint::verified(text, &checkpoint.origin, &[[1; 32]]).is_err(), "the key is of nobody");
    true
}

/// Two numbers of 8 bytes, two hashes, then a proof.
pub(crate) fn proof(bytes: &[u8]) -> bool {
    let (hashes, _) = bytes.get(16..).unwrap_or_default().as_chunks::<32>();
    let ([old_root, new_root, proof @ ..], Some((numbers, _))) = (hashes, bytes.split_first_chunk::<16>()) else {
        return false;
    };
    let number = |half: &[u8]| half.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
    let (old, new) = (number(&numbers[..8]), number(&numbers[8..]));
    let heads = (TreeHead { size: old, root: *old_root }, TreeHead { size: new, root: *new_root });
    let consistent = verify_consistency(&heads.0, &heads.1, proof);
    assert!(consistent.is_err() || range::consistency(old, new).is_some());
    let included = verify_inclusion(old_root, old, new, proof, new_root);
    assert!(included.is_err() || range::inclusion(old, new).is_some_and(|ranges| ranges.len() == proof.len()));
    consistent.is_ok() || included.is_ok()
}

/// The first byte is the width of a tile, less one; the rest are its entries, or its hashes.
pub(crate) fn tile(bytes: &[u8]) -> bool {
    let Some((width, rest)) = bytes.split_first() else { return false };
    let size = u64::from(*width) + 1;
    let Some(tile) = Tile::in_tree(0, 0, size) else { return false };
    let mut tiles = Tiles::new(size);
    if tiles.insert(tile, rest).is_ok() {
        let hashes: Vec<Hash> = rest.as_chunks::<32>().0.to_vec();
        if let Some(root) = tiles.root() {
            assert_eq!(hashes.get(..tile.width()).map(schemas::merkle::root), Some(root));
        }
        return true;
    }
    let Ok(entries) = read_bundle(tile, rest) else { return false };
    assert_eq!(entries.len(), tile.width());
    let written = write_bundle(entries.iter().copied());
    assert!(written.is_some_and(|written| rest.starts_with(&written)), "the bundle is not what it was");
    entries.iter().all(|entry| serde_json::from_slice::<Entry>(entry).is_ok_and(|entry| entry.to_bytes().is_ok()))
}

pub(crate) fn inclusion(bytes: &[u8]) -> bool {
    let Ok(inclusion) = serde_json::from_slice::<Inclusion>(bytes) else { return false };
    let Ok(run) = "wsr_1".parse() else { return false };
    let logged = Logged {
        run: &run,
        evidence_sha256: &inclusion.entry.evidence_sha256,
        attestation_sha256: None,
        sealed_at: inclusion.entry.sealed_at,
    };
    assert!(inclusion.verify(&logged, &[[1; 32]]).is_err(), "the key is of nobody");
    true
}
