//! Reads events from the parts of the log in the object store: the part's index, then one range of frames.

use infra::s3::{Store, StoreError};
use schemas::evidence::event_log::{IndexEntry, IndexError, read_index};

use super::frame::{FrameError, Line, lines};
use crate::db::collector::StoredPart;

/// Maximum size of an index; ours are smaller.
const MAX_INDEX_BYTES: u64 = 64 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub(crate) enum PartError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("part `{key}` has no readable index")]
    Index { key: String, source: IndexError },
    #[error("part `{key}` of {size_bytes} bytes cannot have its index at {index_offset}")]
    Offset { key: String, size_bytes: u64, index_offset: u64 },
    #[error("part `{key}`")]
    Frame { key: String, source: FrameError },
}

/// The events after `after`, until about `max_bytes` of them are reached (at least one frame).
pub(crate) async fn read(store: &Store, part: &StoredPart, after: u64, max_bytes: u64) -> Result<Vec<Line>, PartError> {
    let key = || part.object_key.clone();
    let index_bytes = part.size_bytes.saturating_sub(part.index_offset);
    if !(1..=MAX_INDEX_BYTES).contains(&index_bytes) {
        let (size_bytes, index_offset) = (part.size_bytes, part.index_offset);
        return Err(PartError::Offset { key: key(), size_bytes, index_offset });
    }
    let index = store.get_range(&part.object_key, part.index_offset..=part.size_bytes - 1).await?;
    let entries = read_index(&index).map_err(|source| PartError::Index { key: key(), source })?;
    let wanted = select(&entries, after, max_bytes);
    let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else { return Ok(Vec::new()) };
    let (start, end) = (first.offset, last.offset + last.length);
    let frames = store.get_range(&part.object_key, start..=end.saturating_sub(1)).await?;
    let mut found = Vec::new();
    for entry in wanted {
        let at = usize::try_from(entry.offset - start).unwrap_or(usize::MAX);
        let length = usize::try_from(entry.length).unwrap_or(usize::MAX);
        // A store that returns too little leaves a frame that does not decompress.
        let frame = at.checked_add(length).and_then(|end| frames.get(at..end)).unwrap_or_default();
        let read = lines(frame, entry.first_seq, entry.last_seq, entry.plain_bytes);
        found.extend(read.map_err(|source| PartError::Frame { key: key(), source })?);
    }
    Ok(found)
}

fn select(entries: &[IndexEntry], after: u64, max_bytes: u64) -> &[IndexEntry] {
    let from = entries.partition_point(|entry| entry.last_seq <= after);
    let mut bytes = 0u64;
    let fits = |entry: &&IndexEntry| {
        let before = bytes;
        bytes = bytes.saturating_add(entry.plain_bytes);
        before < max_bytes
    };
    let count = entries[from..].iter().take_while(fits).count();
    &entries[from..from + count]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_selected_by_number_and_size() {
        let entry = |first_seq, last_seq| IndexEntry { first_seq, last_seq, offset: 0, length: 1, plain_bytes: 10 };
        let entries = [entry(1, 3), entry(4, 4), entry(5, 9)];
        for (after, max_bytes, expected) in
            [(0, 100, 0..3), (0, 1, 0..1), (2, 11, 0..2), (3, 100, 1..3), (4, 10, 2..3), (9, 100, 3..3)]
        {
            assert_eq!(select(&entries, after, max_bytes), &entries[expected], "{after} {max_bytes}");
        }
    }
}
