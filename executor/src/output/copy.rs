//! Reads one output stream of a command into events: byte-exact, never splitting a character between two events, and
//! always to its end. Beyond the cap only the end is kept (`tail`): output is never a reason to stop a command.

use std::io;
use std::path::PathBuf;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::characters::complete_len;
use super::held::Held;
use super::stream::{EVENT_BYTES, Stream};
use super::tail::Tail;
use crate::feed::Feed;

/// The bytes of each stream that are stored, and the folder in which the end of a stream waits until it is known to be the end.
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

/// Reads everything to the end into the tail, at the speed of the command. `buffer` begins with `filled` bytes of it.
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
