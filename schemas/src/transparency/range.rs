//! Parts of a tree that make up a proof (RFC 6962 section 2.1): ranges of leaves, and the complete subtrees in them.

use std::ops::Range;

use super::MAX_TREE_SIZE;

/// A complete subtree: the leaves from `index << height` on, `1 << height` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subtree {
    pub height: u32,
    pub index: u64,
}

/// The subtrees that the root over these leaves is made of, from left to right and so from the largest. Only for ranges
/// that occur in proofs: they begin at a multiple of their length's next power of two.
pub(super) fn subtrees(range: &Range<u64>) -> Vec<Subtree> {
    let (mut begin, mut found) = (range.start, Vec::new());
    while begin < range.end {
        let height = (range.end - begin).ilog2();
        found.push(Subtree { height, index: begin >> height });
        begin += 1 << height;
    }
    found
}

/// The ranges whose roots prove that a tree has this leaf; `None` if the tree is too small.
pub fn inclusion(leaf_index: u64, tree_size: u64) -> Option<Vec<Range<u64>>> {
    if leaf_index >= tree_size || tree_size > MAX_TREE_SIZE {
        return None;
    }
    let (mut around, mut path) = (0..tree_size, Vec::new());
    while around.end - around.start > 1 {
        let split = split(&around);
        let (next, sibling) = if leaf_index < split {
            (around.start..split, split..around.end)
        } else {
            (split..around.end, around.start..split)
        };
        path.push(sibling);
        around = next;
    }
    path.reverse();
    Some(path)
}

/// The ranges whose roots prove that a tree begins with all leaves of an old tree of `old_size`; `None` if the old tree
/// was larger. A tree that did not grow, or was empty, needs no proof.
pub fn consistency(old_size: u64, tree_size: u64) -> Option<Vec<Range<u64>>> {
    if old_size > tree_size || tree_size > MAX_TREE_SIZE {
        return None;
    }
    if old_size == 0 || old_size == tree_size {
        return Some(Vec::new());
    }
    let (mut around, mut path) = (0..tree_size, Vec::new());
    while around.end != old_size {
        let split = split(&around);
        let (next, sibling) = if old_size <= split {
            (around.start..split, split..around.end)
        } else {
            (split..around.end, around.start..split)
        };
        path.push(sibling);
        around = next;
    }
    // The caller knows the root of the old tree.
    if around.start > 0 {
        path.push(around);
    }
    path.reverse();
    Some(path)
}

/// First leaf of the right subtree: the left one has the largest power of two that is smaller than the whole.
fn split(range: &Range<u64>) -> u64 {
    range.start + ((range.end - range.start).next_power_of_two() >> 1)
}
