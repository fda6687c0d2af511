//! A client that follows one run by server-sent events. The next page is fetched when the connection has room for it, so
//! that a slow client costs no memory.

use std::fmt::Write;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::Stream;
use prometheus::IntGauge;
use schemas::Timestamp;
use schemas::event::{Event, EventKind};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pages::Page;
use super::reader::ReadError;
use super::{Line, Reader, Subscription};

/// Bounds of what is read and sent at once.
const PAGE_EVENTS: usize = 500;
const PAGE_BYTES: u64 = 256 * 1024;
/// Pause when announced events are not found, so that a missing event does not make a busy loop.
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// A stream of one client, which `_client` counts.
#[derive(Debug)]
pub(crate) struct Follower {
    pub reader: Reader,
    pub subscription: Subscription,
    /// The last event sent.
    pub after: u64,
    pub heartbeat: Duration,
    pub stopping: CancellationToken,
    pub _client: StreamClient,
}

/// Counts a client until it is dropped.
#[derive(Debug)]
pub(crate) struct StreamClient(IntGauge);

impl StreamClient {
    pub(crate) fn arrived(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for StreamClient {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Follower {
    /// The frames of the stream. It ends after the terminal event, or when the service stops: the client comes back
    /// with the last id it saw.
    pub(crate) fn frames(self) -> impl Stream<Item = Result<Bytes, ReadError>> {
        futures_util::stream::try_unfold(self, |mut follower| async move {
            let next = follower.next().await.inspect_err(|error| {
                tracing::error!(run_id = %follower.reader.run, after = follower.after, %error, "a stream broke off");
            })?;
            Ok(next.map(|frames| (frames, follower)))
        })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        let heartbeat_at = Instant::now() + self.heartbeat;
        let mut missing = false;
        loop {
            if self.stopping.is_cancelled() {
                return Ok(None);
            }
            let progress = *self.subscription.progress.borrow_and_update();
            if progress.last_seq > self.after {
                if let Some(page) = self.page().await? {
                    self.after = page.last_seq;
                    return Ok(Some(page.frames));
                }
                if progress.terminal && missing {
                    tracing::error!(run_id = %self.reader.run, after = self.after, "the last events are not stored");
                    return Ok(None);
                }
                missing = true;
            } else if progress.terminal {
                return Ok(None);
            }
            let retry_at = if missing { Instant::now() + RETRY_DELAY } else { heartbeat_at };
            tokio::select! {
                changed = self.subscription.progress.changed() => {
                    // The hub has ended.
                    if changed.is_err() { return Ok(None) }
                }
                () = tokio::time::sleep_until(retry_at.min(heartbeat_at)) => {
                    if Instant::now() >= heartbeat_at {
                        return Ok(Some(heartbeat(self.after)));
                    }
                }
                () = self.stopping.cancelled() => return Ok(None),
            }
        }
    }
}

impl Follower {
    async fn page(&self) -> Result<Option<Page>, ReadError> {
        let read = async || {
            let page = self.reader.page(self.after, PAGE_EVENTS, PAGE_BYTES).await?;
            Ok(page.last().map(|last| Page { last_seq: last.seq, frames: frames_of(&page) }))
        };
        match self.subscription.shared_pages() {
            Some(pages) => pages.get(self.after, read).await,
            None => read().await,
        }
    }
}

fn frames_of(page: &[Line]) -> Bytes {
    let mut frames = BytesMut::with_capacity(page.iter().map(|line| line.json.len() + 32).sum());
    for line in page {
        frame(&mut frames, line.seq, &line.json);
    }
    frames.freeze()
}

fn frame(frames: &mut BytesMut, seq: u64, json: &[u8]) {
    // Writing into memory does not fail.
    let _ = write!(frames, "id: {seq}\ndata: ");
    frames.put_slice(json);
    frames.put_slice(b"\n\n");
}

fn heartbeat(seq: u64) -> Bytes {
    let event = Event { seq, created_at: Timestamp::now(), kind: EventKind::Heartbeat {} };
    let mut frames = BytesMut::new();
    match serde_json::to_vec(&event) {
        // Events are numbered from 1: before the first one, a comment keeps the stream open.
        Ok(json) if seq > 0 => frame(&mut frames, seq, &json),
        _ => frames.put_slice(b": heartbeat\n\n"),
    }
    frames.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_an_id_and_one_line_of_data() {
        let page = [Line { seq: 7, json: Bytes::from_static(b"{\"seq\":7}") }];
        assert_eq!(&frames_of(&page)[..], b"id: 7\ndata: {\"seq\":7}\n\n");
        assert_eq!(&heartbeat(0)[..], b": heartbeat\n\n");
        let beat = String::from_utf8(heartbeat(3).to_vec()).unwrap();
        assert!(
            beat.starts_with("id: 3\ndata: {\"seq\":3,\"createdAt\":") && beat.ends_with("\"type\":\"heartbeat\"}\n\n")
        );
    }
}
