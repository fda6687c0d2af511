//! Both output streams of a command, from its start until all that is kept of them is sent.

use std::io;
use std::time::Duration;

use schemas::message::StreamTotals;
use tokio::net::unix::pipe::Receiver;
use tokio::task::JoinHandle;

use super::Attempt;
use super::record::Record;
use crate::output::redact::Redaction;
use crate::output::{Held, Stream, Totals, copy};
use sandbox::Sandbox;

/// Time for output to reach its end once everything that could write to it is dead.
const DEADLINE: Duration = Duration::from_secs(30);

type Reader = JoinHandle<io::Result<Held>>;

pub(super) struct Streams {
    stdout: Option<Reader>,
    stderr: Option<Reader>,
}

impl Streams {
    /// Starts reading both streams.
    pub(super) fn read(attempt: &Attempt<'_>, sandbox: &mut Sandbox, redaction: &Redaction) -> Self {
        let (feed, cap) = (&attempt.feed, &attempt.context.output_cap);
        let read =
            |stream, from: Receiver| tokio::spawn(copy(stream, redaction.apply(from), feed.clone(), cap.clone()));
        Self {
            stdout: sandbox.take_stdout().map(|from| read(Stream::Stdout, from)),
            stderr: sandbox.take_stderr().map(|from| read(Stream::Stderr, from)),
        }
    }

    /// Stops reading.
    pub(super) fn abandon(self) {
        [self.stdout, self.stderr].iter().flatten().for_each(JoinHandle::abort);
    }

    /// Waits for the ends of both, then sends what was held back.
    pub(super) async fn finish(self, attempt: &Attempt<'_>, record: &mut Record) {
        let stdout = drained(Stream::Stdout, self.stdout, record).await;
        let stderr = drained(Stream::Stderr, self.stderr, record).await;
        let stdout = stored(attempt, Stream::Stdout, stdout, record).await;
        let stderr = stored(attempt, Stream::Stderr, stderr, record).await;
        record.streams = StreamTotals {
            stdout_bytes: stdout.total,
            stderr_bytes: stderr.total,
            stdout_bytes_dropped: stdout.dropped,
            stderr_bytes_dropped: stderr.dropped,
        };
    }
}

/// Everything that could write is dead, so the end of the stream is near. What was not read is recorded as missing.
async fn drained(stream: Stream, reader: Option<Reader>, record: &mut Record) -> Option<Held> {
    let failure = match tokio::time::timeout(DEADLINE, reader?).await {
        Ok(Ok(Ok(held))) => return Some(held),
        Ok(Ok(Err(error))) => error.to_string(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it did not end although its writers are dead".to_owned(),
    };
    tracing::error!(stream = stream.as_str(), failure, "cannot read an output to its end");
    record.truncated_streams.push(stream.as_str().to_owned());
    None
}

/// Without a deadline: the command has ended, and a broker that is slow is no reason to lose the end of its output.
async fn stored(attempt: &Attempt<'_>, stream: Stream, held: Option<Held>, record: &mut Record) -> Totals {
    let Some(held) = held else { return Totals::default() };
    let totals = held.send(stream, &attempt.feed).await;
    let (metrics, name) = (&attempt.context.metrics, stream.as_str());
    metrics.output_bytes.with_label_values(&[name]).inc_by(totals.total);
    if totals.dropped > 0 {
        metrics.output_dropped_bytes.with_label_values(&[name]).inc_by(totals.dropped);
        record.truncated_streams.push(name.to_owned());
    }
    totals
}
