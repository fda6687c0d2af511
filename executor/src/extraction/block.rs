//! One header block of a tar archive, as it lies there: fields, numbers, checksum. What two readers might read in two
//! ways is an error. After POSIX.1-1988 (ustar) and GNU tar's manual, "Basic Tar Format".
use std::ops::Range;

use super::pax::Time;

pub(super) const BLOCK_BYTES: usize = 512;

const NAME: Range<usize> = 0..100;
const MODE: Range<usize> = 100..108;
const SIZE: Range<usize> = 124..136;
const MODIFIED: Range<usize> = 136..148;
const CHECKSUM: Range<usize> = 148..156;
const TYPE: usize = 156;
const LINK: Range<usize> = 157..257;
const MAGIC: Range<usize> = 257..263;
const MAGIC_AND_VERSION: Range<usize> = 257..265;
const PREFIX: Range<usize> = 345..500;
const SPARSE: Range<usize> = 386..482;
const SPARSE_CONTINUES: usize = 482;
const REAL_SIZE: Range<usize> = 483..495;
/// In a block that continues a list of segments.
const MORE_SPARSE: Range<usize> = 0..504;
const MORE_SPARSE_CONTINUES: usize = 504;
/// Offset and length, 12 digits each.
const SPARSE_ENTRY_BYTES: usize = 24;

#[derive(Debug, Clone)]
pub(super) struct Block(pub(super) [u8; BLOCK_BYTES]);

/// Offsets and lengths of what is stored of a sparse file.
pub(super) type Segments = Vec<(u64, u64)>;

/// The kind of entry that a header describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    /// With a list of its segments in the header.
    GnuSparse,
    HardLink,
    Symlink,
    Directory,
    Device,
    Fifo,
    /// Names the next entry.
    GnuLongName,
    /// Says where the next entry links to.
    GnuLongLink,
    /// Says more about the next entry.
    Extended,
    /// Says more about all entries that follow.
    Global,
    /// The label of a tape, no entry.
    Label,
    Unknown,
}

impl Block {
    pub(super) fn is_zero(&self) -> bool {
        self.0.iter().all(|&byte| byte == 0)
    }

    /// Compares the checksum. Some old programs added signed bytes.
    pub(super) fn checksum_matches(&self) -> bool {
        let byte_at = |at: usize| if CHECKSUM.contains(&at) { b' ' } else { self.0[at] };
        let unsigned: i64 = (0..BLOCK_BYTES).map(|at| i64::from(byte_at(at))).sum();
        let signed: i64 = (0..BLOCK_BYTES).map(|at| i64::from(byte_at(at).cast_signed())).sum();
        octal(&self.0[CHECKSUM]).is_some_and(|sum| sum == unsigned || sum == signed)
    }

    pub(super) fn kind(&self) -> Kind {
        match self.0[TYPE] {
            b'0' | b'7' | 0 => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' | b'4' => Kind::Device,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            b'L' => Kind::GnuLongName,
            b'K' => Kind::GnuLongLink,
            b'x' => Kind::Extended,
            b'g' => Kind::Global,
            b'V' => Kind::Label,
            // Other formats mean something else by it.
            b'S' if &self.0[MAGIC_AND_VERSION] == b"ustar  \0" => Kind::GnuSparse,
            _ => Kind::Unknown,
        }
    }

    /// The name in this header. Long names are in entries of their own.
    pub(super) fn name(&self) -> Vec<u8> {
        let mut name = Vec::new();
        // GNU's own format has other things where POSIX has the prefix.
        if &self.0[MAGIC] == b"ustar\0" && self.0[PREFIX.start] != 0 {
            name.extend_from_slice(until_nul(&self.0[PREFIX]));
            name.push(b'/');
        }
        name.extend_from_slice(until_nul(&self.0[NAME]));
        name
    }

    pub(super) fn link(&self) -> Vec<u8> {
        until_nul(&self.0[LINK]).to_vec()
    }

    /// The permission bits.
    pub(super) fn mode(&self) -> Result<u32, &'static str> {
        let mode = number(&self.0[MODE]).and_then(|mode| u32::try_from(mode & 0o777).ok());
        mode.ok_or("its mode is not a number")
    }

    pub(super) fn size(&self) -> Result<u64, &'static str> {
        size(&self.0[SIZE])
    }

    pub(super) fn modified(&self) -> Result<Time, &'static str> {
        let seconds = number(&self.0[MODIFIED]).ok_or("its time is not a number")?;
        Ok(Time { seconds, nanoseconds: 0 })
    }

    /// The size of a sparse file in GNU's format, holes included.
    pub(super) fn real_size(&self) -> Result<u64, &'static str> {
        size(&self.0[REAL_SIZE])
    }

    /// Segments, and whether a block with more of them follows.
    pub(super) fn segments(&self) -> Result<(Segments, bool), &'static str> {
        Ok((segments(&self.0[SPARSE])?, self.0[SPARSE_CONTINUES] != 0))
    }

    /// [`Block::segments`] of a block that continues the list.
    pub(super) fn more_segments(&self) -> Result<(Segments, bool), &'static str> {
        Ok((segments(&self.0[MORE_SPARSE])?, self.0[MORE_SPARSE_CONTINUES] != 0))
    }
}

fn segments(list: &[u8]) -> Result<Segments, &'static str> {
    let entries = list.chunks_exact(SPARSE_ENTRY_BYTES).map(|entry| entry.split_at(SPARSE_ENTRY_BYTES / 2));
    let used = entries.take_while(|(_, length)| length[0] != 0);
    used.map(|(offset, length)| Ok((size(offset)?, size(length)?))).collect()
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

fn size(field: &[u8]) -> Result<u64, &'static str> {
    let size = number(field).ok_or("its size is not a number")?;
    u64::try_from(size).map_err(|_| "its size is negative")
}

/// Octal digits, or what GNU tar invented for numbers that are too large or negative: two's complement, big-endian,
/// marked by the first byte.
fn number(field: &[u8]) -> Option<i64> {
    let (&first, rest) = field.split_first()?;
    if !matches!(first, 0x80 | 0xff) {
        return octal(field);
    }
    let fill = if first == 0xff { 0xff } else { 0 };
    let (high, low) = rest.split_at(rest.len().saturating_sub(8));
    let mut bytes = [fill; 8];
    bytes[8 - low.len()..].copy_from_slice(low);
    let value = i64::from_be_bytes(bytes);
    let fits = high.iter().all(|&byte| byte == fill) && (value < 0) == (first == 0xff);
    fits.then_some(value)
}

/// Spaces, digits, then nothing but spaces and NULs. A field of NULs is zero: some writers leave out what is none.
fn octal(field: &[u8]) -> Option<i64> {
    if field.iter().all(|&byte| byte == 0) {
        return Some(0);
    }
    let digits = field.trim_ascii_start();
    let end = digits.iter().position(|byte| !(b'0'..=b'7').contains(byte)).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    if digits.is_empty() || !rest.iter().all(|byte| matches!(byte, b' ' | 0)) {
        return None;
    }
    // At most 12 digits of 3 bits.
    Some(digits.iter().fold(0, |value, digit| value * 8 + i64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (field, expected) in [
            (&b"00000000012\0"[..], Some(10)),
            (b"12 \0        ", Some(10)),
            (b"         12 ", Some(10)),
            (b"777777777777", Some((1 << 36) - 1)),
            (b"\0\0\0\0\0\0\0\0\0\0\0\0", Some(0)),
            (b"            ", None),
            (b"12\x0034567890 ", None),
            (b"0000000000x\0", None),
            (b"-0000000012\0", None),
            (b"0x000000012\0", None),
            (b"\x80\0\0\0\0\0\0\0\0\0\x01\0", Some(256)),
            (b"\x80\0\0\x01\0\0\0\0\0\0\0\0", None),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\xff\0\0\0\0\0\0\0\0\0\0\0", None),
            (b"\x81\0\0\0\0\0\0\0\0\0\0\x01", None),
        ] {
            assert_eq!(number(field), expected, "{field:?}");
        }
        assert_eq!(size(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"), Err("its size is negative"));
    }
}
