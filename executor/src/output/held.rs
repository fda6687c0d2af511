//! The rest of an output stream once it has ended: a marker for the omitted bytes, and the tail. Sending
//! the rest takes as long as the broker takes, which no longer concerns the command.

use schemas::event::Omitted;

use super::characters::{complete_len, rest_len};
use super::stream::{EVENT_BYTES, Stream};
use super::tail::Tail;
use crate::feed::Feed;

/// A stream that was read to its end.
#[derive(Debug)]
pub(crate) struct Held {
    pub(super) total: u64,
    /// The bytes that are sent already, from the first one on.
    pub(super) head: u64,
    pub(super) tail: Option<Tail>,
}

/// Bytes of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub total: u64,
    pub dropped: u64,
}

impl Held {
    pub(crate) async fn send(self, stream: Stream, feed: &Feed) -> Totals {
        let mut sender = Sender { stream, feed, total: self.total, next: self.head, dropped: 0 };
        if let Some(tail) = self.tail {
            sender.send_tail(tail, self.head).await;
        }
        sender.skip_to(self.total).await;
        Totals { total: self.total, dropped: sender.dropped }
    }
}

struct Sender<'a> {
    stream: Stream,
    feed: &'a Feed,
    total: u64,
    /// Offset in the stream up to which everything was sent or said to be left out.
    next: u64,
    dropped: u64,
}

impl Sender<'_> {
    /// The tail's first byte is the stream's at `head`, if it still has it.
    async fn send_tail(&mut self, mut tail: Tail, head: u64) {
        let mut at = tail.pushed() - tail.kept();
        // Bytes of a character that may have begun before what is kept; the ring may give them in two reads.
        let mut cut = if at > 0 { 3 } else { 0 };
        let mut buffer = vec![0; EVENT_BYTES];
        let mut filled = 0;
        loop {
            let begin = at + filled as u64;
            let reading = tokio::task::spawn_blocking(move || {
                let read = tail.read(begin, &mut buffer[filled..]);
                (tail, buffer, read)
            });
            let Ok((same_tail, same_buffer, read)) = reading.await else { return };
            (tail, buffer) = (same_tail, same_buffer);
            let read = match read {
                Ok(read) => read,
                Err(error) => {
                    tracing::error!(stream = self.stream.as_str(), %error, "cannot read the end of an output");
                    return;
                }
            };
            filled += read;
            if cut > 0 {
                let rest = rest_len(&buffer[..filled]).min(cut);
                buffer.copy_within(rest..filled, 0);
                at += rest as u64;
                filled -= rest;
                cut = if filled == 0 { cut - rest } else { 0 };
            }
            let whole = if read == 0 { filled } else { complete_len(&buffer[..filled]) };
            if whole > 0 {
                self.skip_to(head + at).await;
                self.feed.event(self.stream.event(&buffer[..whole])).await;
                self.next += whole as u64;
            }
            if read == 0 {
                return;
            }
            buffer.copy_within(whole..filled, 0);
            at += whole as u64;
            filled -= whole;
        }
    }

    /// Says that everything up to there is left out, if anything is.
    async fn skip_to(&mut self, offset: u64) {
        let bytes = offset - self.next;
        if bytes > 0 {
            let omitted = Omitted { offset: self.next, bytes, total_bytes: self.total };
            self.feed.event(self.stream.marker(omitted)).await;
            self.dropped += bytes;
            self.next = offset;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use schemas::event::{EventKind, Output};
    use tokio::io::AsyncWriteExt as _;

    use super::super::copy::{OutputCap, copy};
    use super::*;
    use crate::feed::Entry;

    /// All events of a stream that arrives in pieces of at most `piece` bytes.
    async fn events(content: &[u8], piece: usize, cap: u64) -> (Vec<Output>, Totals) {
        let (feed, mut entries) = Feed::unwritten();
        let (mut writer, reader) = tokio::io::duplex(piece);
        let cap = OutputCap { bytes: cap, folder: std::env::temp_dir() };
        let reading = async {
            let held = copy(Stream::Stdout, reader, feed.clone(), cap).await.unwrap();
            held.send(Stream::Stdout, &feed).await
        };
        let writing = async {
            writer.write_all(content).await.unwrap();
            drop(writer);
        };
        let (stored, ()) = tokio::join!(reading, writing);
        drop(feed);
        let mut outputs = Vec::new();
        while let Some(entry) = entries.recv().await {
            let Entry::Event(EventKind::Stdout(output)) = entry else { panic!("{entry:?}") };
            outputs.push(output);
        }
        (outputs, stored)
    }

    fn text(output: &Output) -> &str {
        assert!(output.bytes.is_none(), "a character was split: {output:?}");
        &output.data
    }

    #[tokio::test]
    async fn keeps_head_and_tail_and_says_what_is_missing() {
        for (content, cap, head, omitted, tail) in [
            ("", 4, "", None, ""),
            ("abc", 4, "ab", None, "c"),
            ("abcd", 4, "ab", None, "cd"),
            ("abcde", 4, "ab", Some((2, 1)), "de"),
            ("abcdefghij", 4, "ab", Some((2, 6)), "ij"),
            ("abcdef", 5, "ab", Some((2, 1)), "def"),
            ("abc", 1, "", Some((0, 2)), "c"),
            ("abc", 2, "a", Some((1, 1)), "c"),
            // No character fits at all.
            ("😀😀", 2, "", Some((0, 8)), ""),
            // What the head cannot use is the tail's: exactly the cap is complete.
            ("a€€", 7, "a", None, "€€"),
            ("a€€€", 7, "a", Some((1, 3)), "€€"),
            // The tail begins inside of a character, which is left out as a whole.
            ("éééé", 5, "é", Some((2, 4)), "é"),
            // So does this one, and the ring wraps around within that character.
            ("abcdefghABCDEF€ghijkl", 16, "abcdefgh", Some((8, 9)), "ghijkl"),
        ] {
            let (outputs, stored) = events(content.as_bytes(), 1024, cap).await;
            let marker = outputs.iter().position(|output| output.omitted.is_some());
            let found = marker.map(|at| outputs[at].omitted.clone().unwrap());
            let all: Vec<&str> = outputs.iter().map(text).collect();
            assert_eq!(all.concat(), format!("{head}{tail}"), "{content:?} {cap}");
            assert_eq!(marker.map_or(head, |at| all[..at].iter().next().unwrap_or(&"")), head, "{content:?} {cap}");
            let total_bytes = content.len() as u64;
            let expected = omitted.map(|(offset, bytes)| Omitted { offset, bytes, total_bytes });
            assert_eq!(found, expected, "{content:?} {cap}");
            let dropped = omitted.map_or(0, |(_, bytes)| bytes);
            assert_eq!(stored, Totals { total: total_bytes, dropped }, "{content:?} {cap}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_byte_is_unaccounted_for(content in "\\PC{0,200}", piece in 1usize..40, cap in 1u64..600) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (outputs, stored) = runtime.block_on(events(content.as_bytes(), piece, cap));
            let (mut at, mut kept) = (0, 0);
            for output in &outputs {
                if let Some(omitted) = &output.omitted {
                    prop_assert_eq!(omitted.offset, at as u64);
                    at += usize::try_from(omitted.bytes).unwrap();
                } else {
                    let text = text(output);
                    prop_assert_eq!(text, &content[at..at + text.len()]);
                    at += text.len();
                    kept += text.len() as u64;
                }
            }
            prop_assert_eq!(at, content.len());
            prop_assert_eq!(stored, Totals { total: at as u64, dropped: at as u64 - kept });
            prop_assert!(kept <= cap);
            // Nothing is left out without need: up to three bytes of a character at the beginning of the tail.
            let needed = if stored.total <= cap { stored.dropped == 0 } else { kept + 3 >= cap };
            prop_assert!(needed, "{} of {} are kept", kept, stored.total);
        }
    }

    #[tokio::test]
    async fn a_tail_of_many_events_is_exact() {
        let content: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let (outputs, stored) = events(&content, 64 * 1024, 1 << 20).await;
        assert_eq!(stored.total, 4_000_000);
        let bytes: Vec<u8> = outputs.iter().flat_map(|output| output.to_bytes().unwrap()).collect();
        let (head, tail) = bytes.split_at(1 << 19);
        assert_eq!(head, &content[..1 << 19]);
        assert!(tail.len() + 3 >= 1 << 19 && content.ends_with(tail));
    }
}
