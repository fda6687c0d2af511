//! The event feed of one attempt: numbers events and publishes them as segments, in order. Everything that the
//! attempt has to say goes through here, so this is the one place that decides when a segment is sent.

use std::time::Duration;

use bytes::Bytes;
use infra::amqp::{About, Message, PublishError, Publisher, Receipt, Target};
use schemas::Timestamp;
use schemas::event::{Event, EventKind};
use schemas::id::RunId;
use schemas::message::{EncodeError, EventMessage, RunEnd, Segment, Verdict};
use schemas::run::{FailureReason, OutcomeSource, RunStatus};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::dispatch::halt::Halt;

/// A segment is sent after this time at the latest …
const LONGEST_WAIT: Duration = Duration::from_millis(20);
/// … or a little later if all it says is which phase the run is in: a short run fits into one segment …
const STATUS_WAIT: Duration = Duration::from_millis(100);
/// … but the first output of a run hurries while a slot is free: then somebody may be watching for it. When every
/// slot is busy, what counts is how many runs get done …
const FIRST_OUTPUT_WAIT: Duration = Duration::from_millis(2);
/// … or with this many bytes of NDJSON.
const SEGMENT_BYTES: usize = 64 * 1024;
/// Fast: a log is compressed once here and never again on its way.
const ZSTD_LEVEL: i32 = 1;
/// Events that may wait to be written; then the command waits, too.
const QUEUE: usize = 64;

/// The start of a feed: its run and attempt, its first number, and its queue.
#[derive(Debug, Clone)]
pub(crate) struct FeedStart {
    pub run: RunId,
    pub attempt: u32,
    pub next_seq: u64,
    pub target: Target,
    pub traceparent: String,
    /// The first output is sent at once.
    pub flush_first_output: bool,
    /// Nobody listens to the attempt from then on: its feed takes what it is given and sends nothing.
    pub halt: Halt,
}

#[derive(Debug)]
pub(crate) enum Entry {
    Event(EventKind),
    End(Box<RunEnd>, oneshot::Sender<Result<(), PublishError>>),
}

/// A handle; cheap to clone. The last one to go without an end leaves the run without one, as a crash would.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    sender: mpsc::Sender<Entry>,
}

impl Feed {
    pub(crate) fn start(publisher: Publisher, start: FeedStart, segments: prometheus::IntCounter) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let halt = start.halt.clone();
        let writing = Writer::new(publisher, start, segments).write(receiver);
        tokio::spawn(async move {
            tokio::select! {
                () = writing => {}
                () = halt.silenced() => {}
            }
        });
        Self { sender }
    }

    /// A feed that publishes nothing; a test reads its entries.
    #[cfg(test)]
    pub(crate) fn unwritten() -> (Self, mpsc::Receiver<Entry>) {
        let (sender, receiver) = mpsc::channel(10_000);
        (Self { sender }, receiver)
    }

    pub(crate) async fn event(&self, kind: EventKind) {
        // The writer goes away only when nobody listens to the attempt any more.
        let _ = self.sender.send(Entry::Event(kind)).await;
    }

    pub(crate) async fn status(&self, status: RunStatus) {
        self.event(EventKind::Status { status }).await;
    }

    /// Sends the ending behind everything else; returns when the broker has all of it.
    pub(crate) async fn end(&self, end: RunEnd) -> Result<(), PublishError> {
        let (done, ended) = oneshot::channel();
        self.sender.send(Entry::End(Box::new(end), done)).await.map_err(|_| PublishError::Stopped)?;
        ended.await.unwrap_or(Err(PublishError::Stopped))
    }
}

struct Writer {
    publisher: Publisher,
    start: FeedStart,
    segments: prometheus::IntCounter,
    lines: Vec<u8>,
    first_seq: u64,
    next_seq: u64,
    status: Option<RunStatus>,
    send_at: Option<Instant>,
    had_output: bool,
    receipts: Vec<Receipt>,
}

impl Writer {
    fn new(publisher: Publisher, start: FeedStart, segments: prometheus::IntCounter) -> Self {
        Self {
            first_seq: start.next_seq,
            next_seq: start.next_seq,
            publisher,
            start,
            segments,
            lines: Vec::new(),
            status: None,
            send_at: None,
            had_output: false,
            receipts: Vec::new(),
        }
    }

    async fn write(mut self, mut entries: mpsc::Receiver<Entry>) {
        loop {
            let due = async {
                match self.send_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let entry = tokio::select! {
                biased;
                entry = entries.recv() => entry,
                () = due => {
                    if self.send(None).await.is_err() {
                        return;
                    }
                    continue;
                }
            };
            match entry {
                Some(Entry::Event(kind)) => {
                    self.add(kind);
                    let overdue = self.send_at.is_some_and(|at| at <= Instant::now());
                    if (overdue || self.lines.len() >= SEGMENT_BYTES) && self.send(None).await.is_err() {
                        return;
                    }
                }
                Some(Entry::End(end, done)) => {
                    let sent = self.send(Some(*end)).await;
                    let confirmed = match sent {
                        Ok(()) => self.confirmed().await,
                        Err(error) => Err(error),
                    };
                    let _ = done.send(confirmed);
                    return;
                }
                None => return,
            }
        }
    }

    fn add(&mut self, kind: EventKind) {
        let now = Instant::now();
        let wait = match &kind {
            EventKind::Stdout(_) | EventKind::Stderr(_) if self.start.flush_first_output && !self.had_output => {
                self.had_output = true;
                FIRST_OUTPUT_WAIT
            }
            EventKind::Status { .. } => STATUS_WAIT,
            _ => LONGEST_WAIT,
        };
        self.send_at = Some(self.send_at.map_or(now + wait, |at| at.min(now + wait)));
        if let EventKind::Status { status } = &kind {
            self.status = Some(*status);
        }
        let event = Event { seq: self.next_seq, created_at: Timestamp::now(), kind };
        let begin = self.lines.len();
        if let Err(error) = serde_json::to_writer(&mut self.lines, &event) {
            // Events are plain data: this cannot happen, and if it did, half a line must not be left.
            tracing::error!(run = %self.start.run, %error, "cannot write an event");
            self.lines.truncate(begin);
            return;
        }
        self.lines.push(b'\n');
        self.next_seq += 1;
    }

    async fn send(&mut self, end: Option<RunEnd>) -> Result<(), PublishError> {
        self.send_at = None;
        let segment = if self.lines.is_empty() { None } else { Some(self.take_segment()?) };
        if segment.is_some() {
            self.segments.inc();
        }
        let (run, attempt) = (&self.start.run, self.start.attempt);
        let body = encoded(EventMessage { run_id: run.clone(), attempt, segment, end }).map_err(|error| {
            tracing::error!(%run, %error, "cannot write a message");
            PublishError::Stopped
        })?;
        let message = Message {
            target: self.start.target.clone(),
            body: body.into(),
            content_type: EventMessage::CONTENT_TYPE,
            traceparent: Some(self.start.traceparent.clone()),
            about: Some(About::attempt(run, attempt)),
        };
        let receipt = self.publisher.publish(message).await?;
        self.receipts.push(receipt);
        Ok(())
    }

    fn take_segment(&mut self) -> Result<Segment, PublishError> {
        let frame = zstd::bulk::compress(&self.lines, ZSTD_LEVEL).map_err(|error| {
            tracing::error!(run = %self.start.run, %error, "cannot compress a segment");
            PublishError::Stopped
        })?;
        let segment = Segment {
            first_seq: self.first_seq,
            last_seq: self.next_seq - 1,
            plain_bytes: self.lines.len() as u64,
            status: self.status.take(),
            frame: Bytes::from(frame),
        };
        self.first_seq = self.next_seq;
        self.lines.clear();
        Ok(segment)
    }

    async fn confirmed(&mut self) -> Result<(), PublishError> {
        for receipt in std::mem::take(&mut self.receipts) {
            receipt.confirmed().await?;
        }
        Ok(())
    }
}

/// The message in bytes. A report that has no room in a message, which its writers prevent, ends its run nevertheless: as a
/// failure of the platform, and not by being sent again and again.
fn encoded(mut message: EventMessage) -> Result<Vec<u8>, EncodeError> {
    let error = match message.encode() {
        Err(error) if message.end.is_some() => error,
        result => return result,
    };
    tracing::error!(run = %message.run_id, %error, "cannot write the report of an attempt; ending its run without it");
    let reason = Verdict::Failed { reason: FailureReason::InternalError };
    let why = Some("the report of the attempt was too large to be sent".to_owned());
    let (run, source) = (message.run_id.clone(), OutcomeSource::Executor);
    message.end = EventMessage::abandoned(run, message.attempt, reason, source, why).end;
    message.encode()
}
