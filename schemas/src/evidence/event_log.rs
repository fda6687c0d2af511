//! A part of the stored event log: segments, each one zstd frame of NDJSON, followed by an index in a zstd skippable
//! frame. `zstd -d` prints the events; a reader that wants one `seq` fetches the index and one range. Specified in
//! `docs/reference/formats.md`. Compression itself happens elsewhere.

use sha2::{Digest, Sha256};

use crate::merkle::{self, Hash};

/// Skippable frame magic number (RFC 8878 section 3.1.2), little-endian in the file.
const INDEX_MAGIC: u32 = 0x184D_2A5C;
/// `firstSeq lastSeq offset length plainBytes`, each a little-endian u64.
const ENTRY_LEN: usize = 40;
const HEADER_LEN: usize = 8;

/// Place of one segment in its part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexEntry {
    pub first_seq: u64,
    pub last_seq: u64,
    /// Offset of the frame in the part, in bytes.
    pub offset: u64,
    /// Length of the frame, in bytes.
    pub length: u64,
    /// Length of the NDJSON in the frame, in bytes.
    pub plain_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    #[error("the index is {0} bytes long, expected a header of 8 and entries of 40")]
    Length(usize),
    #[error("the index starts with {0:#x}, expected a zstd skippable frame {INDEX_MAGIC:#x}")]
    Magic(u32),
    #[error("entry {0} of the index overlaps or does not follow the one before")]
    Order(usize),
}

/// Builds one part in memory.
#[derive(Debug, Default)]
pub struct PartBuilder {
    bytes: Vec<u8>,
    entries: Vec<IndexEntry>,
    leaves: Vec<Hash>,
}

/// A finished part.
#[derive(Debug)]
pub struct Part {
    pub bytes: Vec<u8>,
    pub first_seq: u64,
    pub last_seq: u64,
    pub index_offset: u64,
    pub sha256: String,
    /// One Merkle leaf for each frame, over its compressed bytes.
    pub leaves: Vec<Hash>,
}

impl PartBuilder {
    pub fn push(&mut self, first_seq: u64, last_seq: u64, plain_bytes: u64, frame: &[u8]) {
        self.entries.push(IndexEntry {
            first_seq,
            last_seq,
            offset: self.bytes.len() as u64,
            length: frame.len() as u64,
            plain_bytes,
        });
        self.leaves.push(merkle::leaf_hash(frame));
        self.bytes.extend_from_slice(frame);
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Length of the frames so far, in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends the index; `None` when nothing was pushed.
    pub fn finish(mut self) -> Option<Part> {
        let (first, last) = (self.entries.first()?.first_seq, self.entries.last()?.last_seq);
        let index_offset = self.bytes.len() as u64;
        let content = u32::try_from(self.entries.len() * ENTRY_LEN).ok()?;
        self.bytes.extend_from_slice(&INDEX_MAGIC.to_le_bytes());
        self.bytes.extend_from_slice(&content.to_le_bytes());
        for entry in &self.entries {
            for field in [entry.first_seq, entry.last_seq, entry.offset, entry.length, entry.plain_bytes] {
                self.bytes.extend_from_slice(&field.to_le_bytes());
            }
        }
        let sha256 = hex::encode(Sha256::digest(&self.bytes));
        Some(Part { bytes: self.bytes, first_seq: first, last_seq: last, index_offset, sha256, leaves: self.leaves })
    }
}

/// Reads the index from the bytes at `indexOffset` to the end of the part.
pub fn read_index(bytes: &[u8]) -> Result<Vec<IndexEntry>, IndexError> {
    let field = |at: usize| -> Option<u32> { Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?)) };
    let (Some(magic), Some(content)) = (field(0), field(4)) else {
        return Err(IndexError::Length(bytes.len()));
    };
    if magic != INDEX_MAGIC {
        return Err(IndexError::Magic(magic));
    }
    let body = &bytes[HEADER_LEN..];
    if body.len() != content as usize || !body.len().is_multiple_of(ENTRY_LEN) {
        return Err(IndexError::Length(bytes.len()));
    }
    let mut entries: Vec<IndexEntry> = Vec::with_capacity(body.len() / ENTRY_LEN);
    for (number, raw) in body.chunks_exact(ENTRY_LEN).enumerate() {
        let mut fields = raw.chunks_exact(8).map(|word| {
            let mut array = [0u8; 8];
            array.copy_from_slice(word);
            u64::from_le_bytes(array)
        });
        let mut next = || fields.next().unwrap_or_default();
        let entry =
            IndexEntry { first_seq: next(), last_seq: next(), offset: next(), length: next(), plain_bytes: next() };
        let follows = entries.last().is_none_or(|before| {
            entry.first_seq > before.last_seq && before.offset.checked_add(before.length) == Some(entry.offset)
        });
        let ends = entry.offset.checked_add(entry.length).is_some();
        if !follows || !ends || entry.last_seq < entry.first_seq {
            return Err(IndexError::Order(number));
        }
        entries.push(entry);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_index_finds_every_frame() {
        let mut builder = PartBuilder::default();
        builder.push(1, 3, 30, b"first");
        builder.push(4, 4, 10, b"second one");
        let part = builder.finish().unwrap();
        let entries = read_index(&part.bytes[usize::try_from(part.index_offset).unwrap()..]).unwrap();
        assert_eq!((part.first_seq, part.last_seq, entries.len()), (1, 4, 2));
        assert_eq!(entries[1], IndexEntry { first_seq: 4, last_seq: 4, offset: 5, length: 10, plain_bytes: 10 });
        assert!(PartBuilder::default().finish().is_none());
    }

    proptest! {
        #[test]
        fn hostile_indexes_never_panic(bytes: Vec<u8>) {
            let _ = read_index(&bytes);
            let mut framed = INDEX_MAGIC.to_le_bytes().to_vec();
            framed.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
            framed.extend_from_slice(&bytes);
            let _ = read_index(&framed);
        }
    }
}
