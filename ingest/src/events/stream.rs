//! A client that follows one run by server-sent events. The next page is fetched when the connection has room for it, so
//! that a slow client costs no memory.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::Stream;
use prometheus::IntGauge;
use schemas::Timestamp;
use schemas::event::{Event, EventKind};
use schemas::id::OrgId;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pages::{Page, Slot};
use super::reader::ReadError;
use super::{Line, Reader, Subscription};
use crate::http::at_once::Place;
use crate::http::budget::Budget;

/// Bounds of what is read and sent at once.
const PAGE_EVENTS: usize = 500;
const PAGE_BYTES: u64 = 64 * 1024;
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
    pub buffers: Arc<Budget>,
    pub org: OrgId,
    /// The page that is being sent.
    pub sending: Option<Slot>,
    pub _client: StreamClient,
}

/// Counts a client until it is dropped.
#[derive(Debug)]
pub(crate) struct StreamClient {
    gauge: IntGauge,
    /// One of the streams that its key may have.
    _place: Place,
}

impl StreamClient {
    pub(crate) fn arrived(gauge: &IntGauge, place: Place) -> Self {
        gauge.inc();
        Self { gauge: gauge.clone(), _place: place }
    }
}

impl Drop for StreamClient {
    fn drop(&mut self) {
        self.gauge.dec();
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
        // The connection asks for more when little is left of the page before.
        self.sending = None;
        let heartbeat_at = Instant::now() + self.heartbeat;
        let mut missing = false;
        loop {
            if self.stopping.is_cancelled() {
                return Ok(None);
            }
            let progress = *self.subscription.progress.borrow_and_update();
            if progress.last_seq > self.after {
                if let Some(slot) = self.page().await?
                    && let Some(page) = slot.get()
                {
                    self.after = page.last_seq;
                    let frames = page.frames.clone();
                    self.sending = Some(slot);
                    return Ok(Some(frames));
                }
                if self.stopping.is_cancelled() {
                    return Ok(None);
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
    async fn page(&self) -> Result<Option<Slot>, ReadError> {
        let read = async || {
            let mut held = tokio::select! {
                held = self.buffers.wait_for(&self.org, PAGE_BYTES) => held,
                () = self.stopping.cancelled() => return Ok(None),
            };
            let page = self.reader.page(self.after, PAGE_EVENTS, PAGE_BYTES).await?;
            let Some(last_seq) = page.last().map(|last| last.seq) else { return Ok(None) };
            let frames = frames_of(&page);
            held.shrink_to(frames.len() as u64);
            Ok(Some(Page { last_seq, frames, _held: Some(held) }))
        };
        match self.subscription.shared_pages() {
            Some(pages) => pages.get(self.after, read).await,
            None => Ok(read().await?.map(|page| Arc::new(OnceCell::new_with(Some(page))))),
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
