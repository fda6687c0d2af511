//! The append-only log of all evidence, without I/O: a Merkle tree after RFC 6962, laid out in tiles after C2SP
//! tlog-tiles, with signed checkpoints after C2SP tlog-checkpoint and signed-note. Specified in
//! `docs/reference/formats.md`.

pub mod checkpoint;
pub mod entry;
pub mod inclusion;
pub mod note;
pub mod proof;
pub mod range;
pub mod tile;
pub mod tiles;
pub mod tree;

/// Leaves of the largest log: every JSON reader keeps its sizes and indexes exactly.
pub const MAX_TREE_SIZE: u64 = 1 << 53;

#[cfg(test)]
pub(crate) mod naive {
    //! RFC 6962 section 2.1, word by word and as slow as it reads: the reference for the tests here.

    use crate::merkle::{Hash, leaf_hash, root};

    pub(crate) fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|index| leaf_hash(&index.to_be_bytes())).collect()
    }

    pub(crate) fn inclusion(index: usize, leaves: &[Hash]) -> Vec<Hash> {
        if leaves.len() <= 1 {
            return Vec::new();
        }
        let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
        let (mut path, sibling) = match index.checked_sub(left.len()) {
            None => (inclusion(index, left), right),
            Some(index) => (inclusion(index, right), left),
        };
        path.push(root(sibling));
        path
    }

    pub(crate) fn consistency(old: usize, leaves: &[Hash]) -> Vec<Hash> {
        sub_proof(old, leaves, true)
    }

    fn sub_proof(old: usize, leaves: &[Hash], complete: bool) -> Vec<Hash> {
        if old == leaves.len() {
            return if complete { Vec::new() } else { vec![root(leaves)] };
        }
        let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
        let (mut path, sibling) = match old.checked_sub(left.len()) {
            None | Some(0) => (sub_proof(old, left, complete), right),
            Some(old) => (sub_proof(old, right, false), left),
        };
        path.push(root(sibling));
        path
    }
}
