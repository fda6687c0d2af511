//! Verification of proofs as RFC 9162 sections 2.1.3.2 and 2.1.4.2 describe it; the trees and proofs are those of RFC
//! 6962.

use super::MAX_TREE_SIZE;
use crate::merkle::{self, Hash, node_hash};

/// Hashes of the longest proof, in a tree of 2^53 leaves.
pub const MAX_HASHES: usize = 54;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("a tree of {tree_size} entries has no entry {index}")]
    OutsideTree { index: u64, tree_size: u64 },
    #[error("a tree cannot have {0} entries")]
    TooLarge(u64),
    #[error("the log had {old} entries and has {new} now: an append-only log does not shrink")]
    Shrunk { old: u64, new: u64 },
    #[error("the proof has {0} hashes, which is not what trees of these sizes need")]
    WrongLength(usize),
    #[error("the proof leads to another root hash than that of the tree")]
    OtherRoot,
    #[error("the proof leads to another root hash than that of the earlier tree: the log was rewritten")]
    OtherOldRoot,
}

/// Checks that the tree with this root has the leaf at this index.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    tree_size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if tree_size > MAX_TREE_SIZE {
        return Err(ProofError::TooLarge(tree_size));
    }
    if index >= tree_size {
        return Err(ProofError::OutsideTree { index, tree_size });
    }
    let (mut node, mut last, mut hash) = (index, tree_size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::WrongLength(proof.len()));
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    match (last, hash == *root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofError::OtherRoot),
        _ => Err(ProofError::WrongLength(proof.len())),
    }
}

/// Size and root hash of a tree, as in a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeHead {
    pub size: u64,
    pub root: Hash,
}

/// Checks that the new tree begins with all leaves of the old one.
pub fn verify_consistency(old: &TreeHead, new: &TreeHead, proof: &[Hash]) -> Result<(), ProofError> {
    if new.size > MAX_TREE_SIZE {
        return Err(ProofError::TooLarge(new.size));
    }
    if old.size > new.size {
        return Err(ProofError::Shrunk { old: old.size, new: new.size });
    }
    if old.size == 0 || old.size == new.size {
        let before = if old.size == 0 { merkle::root(&[]) } else { new.root };
        return match (proof, before == old.root) {
            ([], true) => Ok(()),
            ([], false) => Err(ProofError::OtherOldRoot),
            _ => Err(ProofError::WrongLength(proof.len())),
        };
    }
    // A complete old tree is a subtree of the new one; the proof then leaves out its root.
    let mut hashes = old.size.is_power_of_two().then_some(&old.root).into_iter().chain(proof);
    let Some(&first) = hashes.next() else { return Err(ProofError::WrongLength(0)) };
    let (mut node, mut last) = (old.size - 1, new.size - 1);
    while node & 1 == 1 {
        (node, last) = (node >> 1, last >> 1);
    }
    let (mut old_root, mut new_root) = (first, first);
    for hash in hashes {
        if last == 0 {
            return Err(ProofError::WrongLength(proof.len()));
        }
        if node & 1 == 1 || node == last {
            old_root = node_hash(hash, &old_root);
            new_root = node_hash(hash, &new_root);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            new_root = node_hash(&new_root, hash);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    match (last, old_root == old.root, new_root == new.root) {
        (0, true, true) => Ok(()),
        (0, false, _) => Err(ProofError::OtherOldRoot),
        (0, true, false) => Err(ProofError::OtherRoot),
        _ => Err(ProofError::WrongLength(proof.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::naive;
    use super::*;
    use proptest::prelude::*;

    fn head(leaves: &[Hash]) -> TreeHead {
        TreeHead { size: leaves.len() as u64, root: merkle::root(leaves) }
    }

    /// Paths that the Certificate Transparency reference implementation publishes for its tests.
    #[test]
    fn accepts_the_published_paths() {
        let leaves: Vec<Hash> =
            ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
                .iter()
                .map(|data| merkle::leaf_hash(&hex::decode(data).unwrap()))
                .collect();
        let path = |hashes: &[&str]| -> Vec<Hash> {
            hashes.iter().map(|hash| hex::decode(hash).unwrap().try_into().unwrap()).collect()
        };
        let of_first = path(&[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ]);
        assert_eq!(verify_inclusion(&leaves[0], 0, 8, &of_first, &merkle::root(&leaves)), Ok(()));
        let from_six = path(&[
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]);
        assert_eq!(verify_consistency(&head(&leaves[..6]), &head(&leaves), &from_six), Ok(()));
    }

    #[test]
    fn proofs_of_all_small_trees_are_accepted_and_no_other_length() {
        let leaves = naive::leaves(40);
        for size in 1..=leaves.len() {
            let (tree, new) = (&leaves[..size], head(&leaves[..size]));
            for index in 0..size {
                let mut proof = naive::inclusion(index, tree);
                let verify = |proof: &[Hash]| verify_inclusion(&tree[index], index as u64, new.size, proof, &new.root);
                assert_eq!(verify(&proof), Ok(()), "{index} of {size}");
                proof.push([7; 32]);
                assert!(verify(&proof).is_err());
            }
            for old in 0..=size {
                let mut proof = if old == 0 { Vec::new() } else { naive::consistency(old, tree) };
                let verify = |proof: &[Hash]| verify_consistency(&head(&leaves[..old]), &new, proof);
                assert_eq!(verify(&proof), Ok(()), "{old} to {size}");
                proof.push([7; 32]);
                assert!(verify(&proof).is_err());
            }
        }
    }

    proptest! {
        #[test]
        fn a_changed_proof_is_refused(size in 2_u64..300, at in any::<u64>(), hash in any::<usize>(), bit in 0_u8..8) {
            let leaves = naive::leaves(size);
            let (index, new) = (usize::try_from(at % size).unwrap(), head(&leaves));
            let mut proof = naive::inclusion(index, &leaves);
            let which = hash % proof.len();
            proof[which][hash % 32] ^= 1 << bit;
            let result = verify_inclusion(&leaves[index], index as u64, size, &proof, &new.root);
            prop_assert_eq!(result, Err(ProofError::OtherRoot));
        }

        #[test]
        fn a_rewritten_log_is_not_consistent(size in 2_usize..200, old in 1_usize..200, changed in any::<usize>()) {
            let old = 1 + old % (size - 1);
            let leaves = naive::leaves(size as u64);
            let mut rewritten = leaves.clone();
            rewritten[changed % old] = [9; 32];
            let proof = naive::consistency(old, &rewritten);
            let result = verify_consistency(&head(&leaves[..old]), &head(&rewritten), &proof);
            prop_assert!(result.is_err());
        }

        #[test]
        fn any_numbers_and_hashes_are_survived(old in any::<u64>(), new in any::<u64>(), proof in prop::collection::vec(any::<Hash>(), 0..70)) {
            let head = |size| TreeHead { size, root: [0; 32] };
            let _ = verify_consistency(&head(old), &head(new), &proof);
            prop_assert!(verify_inclusion(&[1; 32], old, new, &proof, &[0; 32]).is_err());
        }
    }
}
