//! Takes stored frames apart into their lines. The lines are passed on as they are, byte for byte.

use bytes::Bytes;

/// A frame that claims to be larger than this is not one of ours.
const MAX_PLAIN_BYTES: u64 = 64 * 1024 * 1024;

/// An event as one line of JSON, without the line break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub seq: u64,
    pub json: Bytes,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame of {0} bytes, expected at most {MAX_PLAIN_BYTES}")]
    TooLarge(u64),
    #[error("a frame cannot be decompressed")]
    Zstd(#[source] std::io::Error),
    #[error("a frame holds {got} events, expected {first_seq} to {last_seq}")]
    Count { first_seq: u64, last_seq: u64, got: u64 },
}

/// The events of a frame; they are numbered without gaps, so that nothing needs to be parsed.
pub(crate) fn lines(frame: &[u8], first_seq: u64, last_seq: u64, plain_bytes: u64) -> Result<Vec<Line>, FrameError> {
    let capacity = usize::try_from(plain_bytes.min(MAX_PLAIN_BYTES)).unwrap_or(usize::MAX);
    if plain_bytes > MAX_PLAIN_BYTES {
        return Err(FrameError::TooLarge(plain_bytes));
    }
    let plain = Bytes::from(zstd::bulk::decompress(frame, capacity).map_err(FrameError::Zstd)?);
    let mut found = Vec::new();
    let mut start = 0;
    while start < plain.len() {
        let end = plain[start..].iter().position(|byte| *byte == b'\n').map_or(plain.len(), |length| start + length);
        if end > start {
            found.push(plain.slice(start..end));
        }
        start = end + 1;
    }
    let got = found.len() as u64;
    if last_seq.checked_sub(first_seq).and_then(|more| more.checked_add(1)) != Some(got) {
        return Err(FrameError::Count { first_seq, last_seq, got });
    }
    Ok((first_seq..=last_seq).zip(found).map(|(seq, json)| Line { seq, json }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_bytes_and_get_their_numbers() {
        let plain = b"{\"seq\":4, \"a\":\"x\"}\n{\"seq\":5}\n";
        let frame = zstd::bulk::compress(plain, 1).unwrap();
        let found = lines(&frame, 4, 5, plain.len() as u64).unwrap();
        let expected = [(4, &b"{\"seq\":4, \"a\":\"x\"}"[..]), (5, b"{\"seq\":5}")];
        assert_eq!(found.iter().map(|line| (line.seq, &line.json[..])).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_frame_that_lies_is_an_error() {
        let frame = zstd::bulk::compress(b"{}\n{}\n", 1).unwrap();
        assert!(matches!(lines(&frame, 1, 3, 6), Err(FrameError::Count { got: 2, .. })));
        assert!(matches!(lines(&frame, 1, 2, 3), Err(FrameError::Zstd(_))));
        assert!(matches!(lines(&frame, 1, 2, u64::MAX), Err(FrameError::TooLarge(_))));
        assert!(matches!(lines(b"junk", 1, 2, 6), Err(FrameError::Zstd(_))));
    }
}
