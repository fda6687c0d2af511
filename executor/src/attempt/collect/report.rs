//! A test report, read beside its upload: what is counted are the bytes that are stored, whatever becomes of the file.

use std::io::{self, BufRead, Read};

use bytes::{Buf as _, Bytes};
use schemas::test_report::{self, Problem, ReportError, ReportFormat, TestCounts};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Pieces of a report that wait to be read, at most.
const QUEUE: usize = 4;

#[derive(Debug)]
pub(super) struct ReportReader {
    format: ReportFormat,
    chunks: mpsc::Sender<Bytes>,
    reading: JoinHandle<Result<TestCounts, ReportError>>,
}

/// A file that is meant to be a report, and what came of it.
#[derive(Debug)]
pub(super) struct ReadReport {
    pub format: ReportFormat,
    pub counts: Result<TestCounts, ReportError>,
}

impl ReportReader {
    pub(super) fn start(format: ReportFormat) -> Self {
        let (chunks, received) = mpsc::channel(QUEUE);
        let received = Received { chunks: received, chunk: Bytes::new() };
        let reading = tokio::task::spawn_blocking(move || test_report::read(format, received, drop));
        Self { format, chunks, reading }
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) {
        // A reader that has refused the report does not want the rest of it.
        if !self.chunks.is_closed() {
            let _ = self.chunks.send(Bytes::copy_from_slice(bytes)).await;
        }
    }

    pub(super) async fn finish(self) -> ReadReport {
        drop(self.chunks);
        let counts = self.reading.await.unwrap_or_else(|error| {
            tracing::error!(%error, "cannot read a test report");
            Err(ReportError { line: 1, problem: Problem::Unreadable })
        });
        ReadReport { format: self.format, counts }
    }
}

/// Bytes that the async side sends.
struct Received {
    chunks: mpsc::Receiver<Bytes>,
    chunk: Bytes,
}

impl BufRead for Received {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.chunk.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.chunk = chunk,
                None => break,
            }
        }
        Ok(&self.chunk)
    }

    fn consume(&mut self, amount: usize) {
        self.chunk.advance(amount);
    }
}

impl Read for Received {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}
