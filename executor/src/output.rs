//! Reads one output stream of a command into events: byte-exact, never splitting a character between two events, and
//! always to its end. Beyond the cap only the end is kept (`tail.rs`): output is never a reason to stop a command.

mod held;
mod tail;

use std::io;
use std::path::PathBuf;

use schemas::event::{EventKind, Omitted, Output};
use tokio::io::{AsyncRead, AsyncReadExt};

pub(crate) use self::held::{Held, Totals};
use self::tail::Tail;
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
        self.kind(Output::from_bytes(bytes))
    }

    fn marker(self, omitted: Omitted) -> EventKind {
        self.kind(Output::omitted(omitted))
    }

    fn kind(self, output: Output) -> EventKind {
        match self {
            Self::Stdout => EventKind::Stdout(output),
            Self::Stderr => EventKind::Stderr(output),
        }
    }
}

/// How much of each stream is stored, and where its end waits until it is known to be the end.
#[derive(Debug, Clone)]
pub(crate) struct OutputCap {
    pub bytes: u64,
    pub folder: PathBuf,
}

/// Reads to the end. The first half of what the cap allows is sent as it comes; the rest is held back, because only
/// at the end of the stream it is known what of it is to be kept.
pub(crate) async fn copy(
    stream: Stream,
    mut from: impl AsyncRead + Unpin,
    feed: Feed,
    cap: OutputCap,
) -> io::Result<Held> {
    let mut buffer = vec![0; EVENT_BYTES];
    let mut room = cap.bytes / 2;
    let (mut kept, mut total) = (0, 0);
    loop {
        let read = from.read(&mut buffer[kept..]).await?;
        total += read as u64;
        let filled = kept + read;
        let fits = usize::try_from(room).map_or(filled, |room| filled.min(room));
        // At the end of the stream half a character is all there will ever be of it.
        let whole = if read == 0 { filled } else { complete_len(&buffer[..fits]) };
        if whole > 0 {
            feed.event(stream.event(&buffer[..whole])).await;
        }
        room -= whole as u64;
        buffer.copy_within(whole..filled, 0);
        kept = filled - whole;
        let head = total - kept as u64;
        if read == 0 {
            return Ok(Held { total, head, tail: None });
        }
        if fits < filled {
            // What the head left unused, because a character would not fit, is the tail's: both make up the cap.
            let tail = Tail::new(cap.folder, cap.bytes - head);
            return hold_back(from, buffer, kept, tail).await.map(|tail| Held {
                total: head + tail.pushed(),
                head,
                tail: Some(tail),
            });
        }
    }
}

/// Everything to the end into the tail, at the speed of the command. `buffer` begins with `filled` bytes of it.
async fn hold_back(
    mut from: impl AsyncRead + Unpin,
    mut buffer: Vec<u8>,
    mut filled: usize,
    mut tail: Tail,
) -> io::Result<Tail> {
    while filled > 0 {
        // The disk may be slow, and other runs share this thread.
        let pushed = tokio::task::spawn_blocking(move || {
            tail.push(&buffer[..filled]);
            (tail, buffer)
        });
        (tail, buffer) = pushed.await?;
        filled = from.read(&mut buffer).await?;
    }
    Ok(tail)
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

/// Length of what is left at the beginning of a character that began before.
fn rest_len(bytes: &[u8]) -> usize {
    bytes.iter().take(3).take_while(|byte| matches!(byte, 0b1000_0000..=0b1011_1111)).count()
}

#[cfg(test)]
mod tests {
    use super::{complete_len, rest_len};

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

    #[test]
    fn skips_the_rest_of_a_character_only() {
        for (text, expected) in
            [(&b""[..], 0), (b"a", 0), (&"é".as_bytes()[1..], 1), (&"😀a".as_bytes()[1..], 3), (&[0x80; 9], 3)]
        {
            assert_eq!(rest_len(text), expected, "{text:?}");
        }
    }
}
