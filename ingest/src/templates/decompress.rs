//! Decompression of tar streams that may be compressed.

use std::io::{self, BufRead, Read};

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z'];
const BZIP2: &[u8] = b"BZh";

/// Decides by the first bytes: media types and file names are not always right.
pub(super) fn decompressed<'a>(mut source: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let start = source.fill_buf()?;
    if start.starts_with(GZIP) {
        return Ok(Box::new(flate2::bufread::MultiGzDecoder::new(source)));
    }
    if start.starts_with(ZSTD) {
        return Ok(Box::new(zstd::Decoder::with_buffer(source)?));
    }
    if start.starts_with(XZ) || start.starts_with(BZIP2) {
        return Err(io::Error::other(
            "expected a tar as it is, or compressed with gzip or zstd, but not with xz or bzip2",
        ));
    }
    Ok(Box::new(source))
}
