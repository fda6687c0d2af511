//! The layout of a file's stored bytes: sparse files store their segments one after the other, without the holes.
use super::block::{BLOCK_BYTES, Segments};

/// In order, without overlaps, within the file. A file without holes is one segment.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Reversed: the next is the last.
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    offset: u64,
    length: u64,
}

impl Layout {
    pub(super) fn whole(length: u64) -> Self {
        Self { segments: vec![Segment { offset: 0, length }] }
    }

    /// `stored` bytes are in the archive, of a file of `size` bytes.
    pub(super) fn sparse(list: &[(u64, u64)], stored: u64, size: u64) -> Result<Self, &'static str> {
        let (mut end, mut sum) = (0_u64, 0_u64);
        let mut segments = Vec::new();
        for &(offset, length) in list {
            if offset < end {
                return Err("segments of its sparse map overlap or are out of order");
            }
            end = offset.checked_add(length).filter(|&end| end <= size).ok_or("its sparse map exceeds its size")?;
            if length == 0 {
                continue;
            }
            // Some readers begin each segment with a new block, others where the one before has ended.
            if sum % BLOCK_BYTES as u64 != 0 {
                return Err("a segment of its sparse map does not begin with a block");
            }
            sum += length;
            segments.push(Segment { offset, length });
        }
        // A hole at the end is an empty segment there. Without one, GNU tar makes the file shorter than it is said to be.
        if end != size {
            return Err("its sparse map ends before its size");
        }
        if sum != stored {
            return Err("its sparse map has another length than its content");
        }
        segments.reverse();
        Ok(Self { segments })
    }

    /// The offset of the next stored byte, and how many bytes may follow it there. `None` when all were taken.
    pub(super) fn next(&self) -> Option<(u64, u64)> {
        self.segments.last().map(|segment| (segment.offset, segment.length)).filter(|&(_, length)| length > 0)
    }

    pub(super) fn take(&mut self, bytes: u64) {
        if let Some(segment) = self.segments.last_mut() {
            segment.offset += bytes;
            segment.length -= bytes;
            if segment.length == 0 {
                self.segments.pop();
            }
        }
    }
}

/// The map of a sparse file in the format that GNU calls 1.0: in front of the content, numbers in lines.
#[derive(Debug, Default)]
pub(super) struct MapReader {
    line: Vec<u8>,
    numbers: Vec<u64>,
}

impl MapReader {
    /// Segments, once the block that has the last number was pushed.
    pub(super) fn push(&mut self, block: &[u8]) -> Result<Option<Segments>, &'static str> {
        const MALFORMED: &str = "its sparse map is malformed";
        for (at, &byte) in block.iter().enumerate() {
            if byte != b'\n' {
                self.line.push(byte);
                continue;
            }
            let number = super::pax::decimal(&self.line).ok_or(MALFORMED)?;
            self.numbers.push(number);
            self.line.clear();
            let segments = self.numbers[0];
            if segments.checked_mul(2).and_then(|numbers| numbers.checked_add(1)) == Some(self.numbers.len() as u64) {
                if block[at + 1..].iter().any(|&byte| byte != 0) {
                    return Err(MALFORMED);
                }
                return Ok(Some(self.numbers[1..].chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()));
            }
        }
        // No number is that long.
        if self.line.len() > BLOCK_BYTES { Err(MALFORMED) } else { Ok(None) }
    }
}
