//! The texts to look for in an output, and the search for them.

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError, MatchKind};

use super::texts::texts_of;

pub(super) struct Secrets {
    pub(super) matcher: AhoCorasick,
    /// Sorted.
    texts: Vec<Vec<u8>>,
    longest: usize,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").field("texts", &self.texts.len()).finish_non_exhaustive()
    }
}

impl Secrets {
    pub(super) fn new<'a>(values: impl Iterator<Item = &'a str>) -> Result<Option<Self>, BuildError> {
        let texts: BTreeSet<Vec<u8>> = values.flat_map(texts_of).collect();
        let texts: Vec<Vec<u8>> = texts.into_iter().collect();
        if texts.is_empty() {
            return Ok(None);
        }
        // Of all kinds the one whose size stays close to that of the texts, which strangers choose.
        let matcher = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .match_kind(MatchKind::LeftmostLongest)
            .build(&texts)?;
        let longest = texts.iter().map(Vec::len).max().unwrap_or_default();
        Ok(Some(Self { matcher, texts, longest }))
    }

    /// The start of the longest end of `bytes` that may become one of the texts once more bytes come.
    pub(super) fn open_end(&self, bytes: &[u8]) -> usize {
        let first = bytes.len().saturating_sub(self.longest - 1);
        (first..bytes.len()).find(|&at| self.is_begun(&bytes[at..])).unwrap_or(bytes.len())
    }

    fn is_begun(&self, beginning: &[u8]) -> bool {
        // What begins with it comes right behind it in the order of texts; it itself is complete.
        let after = self.texts.partition_point(|text| text.as_slice() <= beginning);
        self.texts.get(after).is_some_and(|text| text.starts_with(beginning))
    }
}
