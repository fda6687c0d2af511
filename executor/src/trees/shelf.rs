//! The cache's bookkeeping in memory: which trees there are, who uses them, which one goes first.
use std::collections::{BTreeMap, HashMap};

use super::key::TreeKey;

#[derive(Debug, Default)]
pub(super) struct Shelf {
    trees: HashMap<TreeKey, Tree>,
    /// Trees that nobody uses, least recently used first.
    unused: BTreeMap<u64, TreeKey>,
    bytes: u64,
    clock: u64,
}

#[derive(Debug)]
struct Tree {
    bytes: u64,
    pins: usize,
    /// Key in `unused` while there are no pins.
    released: u64,
}

impl Shelf {
    /// Adds a tree with one pin.
    pub(super) fn add(&mut self, key: TreeKey, bytes: u64) {
        self.bytes += bytes;
        self.trees.insert(key, Tree { bytes, pins: 1, released: 0 });
    }

    /// False if there is no such tree.
    pub(super) fn pin(&mut self, key: &TreeKey) -> bool {
        let Some(tree) = self.trees.get_mut(key) else { return false };
        if tree.pins == 0 {
            self.unused.remove(&tree.released);
        }
        tree.pins += 1;
        true
    }

    pub(super) fn unpin(&mut self, key: &TreeKey) {
        let Some(tree) = self.trees.get_mut(key) else { return };
        tree.pins -= 1;
        if tree.pins == 0 {
            self.clock += 1;
            tree.released = self.clock;
            self.unused.insert(self.clock, key.clone());
        }
    }

    /// Forgets and returns one unused tree if the sum is above `max_bytes`.
    pub(super) fn evict_above(&mut self, max_bytes: u64) -> Option<TreeKey> {
        if self.bytes <= max_bytes {
            return None;
        }
        let (_, key) = self.unused.pop_first()?;
        if let Some(tree) = self.trees.remove(&key) {
            self.bytes -= tree.bytes;
        }
        Some(key)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evicts_the_least_recently_used_that_is_not_in_use() {
        let key = |letter: &str| TreeKey::new(letter, &"0".repeat(64)).unwrap();
        let mut shelf = Shelf::default();
        for letter in ["a", "b", "c"] {
            shelf.add(key(letter), 10);
        }
        assert_eq!(shelf.evict_above(5), None, "all are pinned");
        for letter in ["b", "a", "c"] {
            shelf.unpin(&key(letter));
        }
        assert!(shelf.pin(&key("b")));
        assert_eq!(shelf.evict_above(20), Some(key("a")));
        assert_eq!(shelf.evict_above(20), None);
        assert_eq!(shelf.evict_above(0), Some(key("c")));
        assert_eq!(shelf.evict_above(0), None);
        assert_eq!(shelf.bytes(), 10);
        assert!(!shelf.pin(&key("a")));
    }
}
