//! All events of a run, each exactly once and in order, across any number of broken connections: stored events come
//! from pages, live ones from a stream, and `seq` decides what is new and what is missing.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use schemas::id::RunId;
use schemas::run::RunStatus;
use serde_json::Value;

use super::retry::Backoff;
use super::run_event::RunEvent;
use super::stream::EventStream;
use super::transport::Client;
use crate::failure::Failure;

/// Longest outage of the API that is waited out.
const MAX_OUTAGE: Duration = Duration::from_mins(5);
const STREAM_GAP: &str = "stream_gap";
const STREAM_ENDED: &str = "stream_ended";

#[derive(Debug)]
pub(crate) struct Follower<'a> {
    client: &'a Client,
    run: &'a RunId,
    /// The last event that was handed out.
    last_seq: u64,
    source: Source,
    /// True to go on with live events after the stored ones.
    live: bool,
    ended: bool,
    backoff: Backoff,
    failing_since: Option<Instant>,
}

/// The source of the next event.
#[derive(Debug)]
enum Source {
    /// The stored events, page by page. `over`: the run had ended before the first page, so nothing follows the last.
    Stored {
        page: VecDeque<RunEvent>,
        more: bool,
        over: Option<bool>,
    },
    Disconnected,
    Live(Box<EventStream>),
}

impl Source {
    fn stored() -> Self {
        Self::Stored { page: VecDeque::new(), more: true, over: None }
    }
}

impl<'a> Follower<'a> {
    /// For a run that has just been started: nothing to catch up with.
    pub(crate) fn live(client: &'a Client, run: &'a RunId) -> Self {
        Self::new(client, run, 0, Source::Disconnected)
    }

    /// Stored events after `after_seq`, then live ones until the run ends.
    pub(crate) fn replay(client: &'a Client, run: &'a RunId, after_seq: u64) -> Self {
        Self::new(client, run, after_seq, Source::stored())
    }

    /// Stored events only.
    pub(crate) fn stored(client: &'a Client, run: &'a RunId, after_seq: u64) -> Self {
        Self { live: false, ..Self::replay(client, run, after_seq) }
    }

    fn new(client: &'a Client, run: &'a RunId, last_seq: u64, source: Source) -> Self {
        let backoff = Backoff::new();
        Self { client, run, last_seq, source, live: true, ended: false, backoff, failing_since: None }
    }

    /// The next event; `None` after the terminal one, or when nothing more can come.
    pub(crate) async fn next(&mut self) -> Result<Option<RunEvent>, Failure> {
        while !self.ended {
            match self.receive().await {
                Ok(Some(event)) => {
                    if let Some(event) = self.accept(event) {
                        return Ok(Some(event));
                    }
                }
                Ok(None) => {}
                Err(failure) => self.recover(failure).await?,
            }
        }
        Ok(None)
    }

    /// One step: an event that is not a gap, or a change of the source.
    async fn receive(&mut self) -> Result<Option<RunEvent>, Failure> {
        match &mut self.source {
            Source::Stored { page, more, over } => {
                if let Some(event) = page.pop_front() {
                    return Ok(Some(event));
                }
                if *more {
                    // In this order: once the run is over every event of it is stored.
                    if over.is_none() && self.live {
                        *over = Some(is_over(&self.client.run(self.run).await?));
                    }
                    let next = self.client.events(self.run, self.last_seq).await?;
                    // A page without anything new would come again and again.
                    *more = next.has_more && next.events.last().is_some_and(|event| event.seq > self.last_seq);
                    page.extend(next.events);
                    return Ok(None);
                }
                self.ended = !self.live || *over == Some(true);
                self.source = Source::Disconnected;
                Ok(None)
            }
            Source::Disconnected => {
                let stream = EventStream::open(self.client, self.run, self.last_seq).await?;
                self.source = Source::Live(Box::new(stream));
                Ok(None)
            }
            Source::Live(stream) => {
                let Some(event) = stream.next().await? else {
                    return Err(Failure::new(STREAM_ENDED, "the stream ended before the run did").retryable());
                };
                if !event.is_heartbeat() && event.seq > self.last_seq + 1 {
                    let message = format!("events {} to {} are missing", self.last_seq + 1, event.seq - 1);
                    return Err(Failure::new(STREAM_GAP, message).retryable());
                }
                Ok(Some(event))
            }
        }
    }

    /// Drops heartbeats and events that were handed out before.
    fn accept(&mut self, event: RunEvent) -> Option<RunEvent> {
        if event.is_heartbeat() || event.seq > self.last_seq {
            self.failing_since = None;
            self.backoff = Backoff::new();
        }
        if event.is_heartbeat() || event.seq <= self.last_seq {
            return None;
        }
        self.last_seq = event.seq;
        self.ended = event.terminal_run().is_some();
        Some(event)
    }

    /// Waits before the next try, unless a retry is useless.
    async fn recover(&mut self, failure: Failure) -> Result<(), Failure> {
        // The pages know what a stream skipped, and whether there is anything left to stream.
        let look_up = matches!(failure.code.as_str(), STREAM_GAP | STREAM_ENDED);
        if !failure.retryable && !look_up {
            return Err(failure);
        }
        if self.failing_since.get_or_insert_with(Instant::now).elapsed() > MAX_OUTAGE {
            return Err(failure);
        }
        let Some(delay) = self.backoff.delay(failure.retry_after) else { return Err(failure) };
        tokio::time::sleep(delay).await;
        if look_up {
            self.source = Source::stored();
        } else if matches!(self.source, Source::Live(_)) {
            self.source = Source::Disconnected;
        }
        Ok(())
    }
}

fn is_over(run: &Value) -> bool {
    run["status"].as_str().and_then(|status| status.parse().ok()).is_some_and(RunStatus::is_terminal)
}
