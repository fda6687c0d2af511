//! Reads one output stream of a command into events: byte-exact, never splitting a character between two events.

use std::io;

use schemas::event::{EventKind, Output};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::feed::Feed;

/// Most bytes of output in one event.
const EVENT_BYTES: usize = 32 * 1024;

/// Which stream an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    fn event(self, bytes: &[u8]) -> EventKind {
        match self {
            Self::Stdout => EventKind::Stdout(Output::from_bytes(bytes)),
            Self::Stderr => EventKind::Stderr(Output::from_bytes(bytes)),
        }
    }
}

/// Reads to the end; returns the number of bytes.
pub(crate) async fn copy(stream: Stream, mut from: impl AsyncRead + Unpin, feed: Feed) -> io::Result<u64> {
    let mut buffer = vec![0; EVENT_BYTES];
    let (mut kept, mut total) = (0, 0);
    loop {
        let read = from.read(&mut buffer[kept..]).await?;
        total += read as u64;
        let filled = kept + read;
        // At the end of the stream half a character is all there will ever be of it.
        let whole = if read == 0 { filled } else { complete_len(&buffer[..filled]) };
        if whole > 0 {
            feed.event(stream.event(&buffer[..whole])).await;
        }
        if read == 0 {
            return Ok(total);
        }
        buffer.copy_within(whole..filled, 0);
        kept = filled - whole;
    }
}

/// Length without a UTF-8 sequence that is cut off by the end. What is no UTF-8 at all counts as complete.
fn complete_len(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let at = bytes.len() - back;
        let needed = match bytes[at] {
            0b1100_0000..=0b1101_1111 => 2,
            0b1110_0000..=0b1110_1111 => 3,
            0b1111_0000..=0b1111_0111 => 4,
            // A continuation byte: the sequence begins further back.
            0b1000_0000..=0b1011_1111 => continue,
            _ => return bytes.len(),
        };
        return if needed > back { at } else { bytes.len() };
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::complete_len;

    #[test]
    fn holds_back_half_characters_only() {
        for (text, expected) in [
            (&b""[..], 0),
            (b"abc", 3),
            ("aé".as_bytes(), 3),
            (&"aé".as_bytes()[..2], 1),
            (&"€".as_bytes()[..1], 0),
            (&"€".as_bytes()[..2], 0),
            ("€".as_bytes(), 3),
            (&"a😀".as_bytes()[..4], 1),
            ("a😀".as_bytes(), 5),
            (b"\xff", 1),
            (b"a\x80\x80\x80\x80", 5),
            (b"\xf8\x80", 2),
        ] {
            assert_eq!(complete_len(text), expected, "{text:?}");
        }
    }
}
