//! Objects that this collector has just stored, kept in memory for a while so that the writer of the tables need not
//! fetch them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Maximum bytes of all objects: some thousands of small runs, about as many as end until the tables take them in.
const MAX_BYTES: usize = 16 << 20;

/// Cheap to clone; all clones share their objects.
#[derive(Debug, Clone, Default)]
pub(crate) struct RecentObjects(Arc<Mutex<Objects>>);

#[derive(Debug, Default)]
struct Objects {
    by_key: HashMap<String, Bytes>,
    /// Oldest first; also has keys whose bytes were taken since.
    keys: VecDeque<String>,
    bytes: usize,
}

impl RecentObjects {
    /// Keeps bytes under an object's key: the object, or the piece of it that its next reader needs.
    pub(crate) fn keep(&self, key: &str, bytes: Bytes) {
        let mut objects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        objects.keep(key, bytes, MAX_BYTES);
    }

    /// `None` if the bytes were taken already, were too old, or were stored by another collector.
    pub(crate) fn take(&self, key: &str) -> Option<Bytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take(key)
    }
}

impl Objects {
    fn keep(&mut self, key: &str, bytes: Bytes, max_bytes: usize) {
        self.take(key);
        self.bytes += bytes.len();
        self.keys.push_back(key.to_owned());
        self.by_key.insert(key.to_owned(), bytes);
        while self.bytes > max_bytes || self.keys.len() > 2 * self.by_key.len() + 1 {
            let Some(oldest) = self.keys.pop_front() else { return };
            self.take(&oldest);
        }
    }

    fn take(&mut self, key: &str) -> Option<Bytes> {
        let bytes = self.by_key.remove(key)?;
        self.bytes -= bytes.len();
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_taken_once_and_the_oldest_gives_way() {
        let mut objects = Objects::default();
        let bytes = |n: u8| Bytes::from(vec![n; 10]);
        for n in 0..5 {
            objects.keep(&n.to_string(), bytes(n), 30);
        }
        assert_eq!((objects.take("1"), objects.take("2"), objects.take("2")), (None, Some(bytes(2)), None));
        objects.keep("3", bytes(9), 30);
        assert_eq!((objects.take("3"), objects.bytes), (Some(bytes(9)), 10));
        objects.keep("large", Bytes::from(vec![0; 31]), 30);
        assert_eq!((objects.take("4"), objects.take("large"), objects.bytes), (None, None, 0));
    }

    #[test]
    fn what_was_taken_leaves_nothing() {
        let mut objects = Objects::default();
        for n in 0..1_000 {
            objects.keep(&n.to_string(), Bytes::new(), 30);
            objects.take(&n.to_string());
        }
        assert!(objects.keys.len() < 5 && objects.by_key.is_empty(), "{objects:?}");
    }
}
