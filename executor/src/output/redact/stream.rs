//! One output stream on its way through the search for secrets.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::secrets::Secrets;

const READ_BYTES: usize = 32 * 1024;
pub(super) const REPLACEMENT: &[u8] = b"***";

/// A stream with its search. Bytes that may begin a secret wait for more.
#[derive(Debug)]
pub(super) struct Stream {
    secrets: Arc<Secrets>,
    count: Arc<AtomicU64>,
    held: Vec<u8>,
    ended: bool,
    /// Ready to be read, from `given` on.
    pub(super) ready: Vec<u8>,
    given: usize,
    buffer: Box<[u8]>,
}

impl Stream {
    pub(super) fn new(secrets: Arc<Secrets>, count: Arc<AtomicU64>) -> Self {
        let buffer = vec![0; READ_BYTES].into_boxed_slice();
        Self { secrets, count, held: Vec::new(), ended: false, ready: Vec::new(), given: 0, buffer }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        self.release(self.secrets.open_end(&self.held));
    }

    pub(super) fn end(&mut self) {
        self.ended = true;
        self.release(self.held.len());
    }

    /// Every text that begins before `open` is complete or will never be: what comes later changes nothing there.
    fn release(&mut self, open: usize) {
        let mut done = 0;
        for found in self.secrets.matcher.find_iter(&self.held).take_while(|found| found.start() < open) {
            self.ready.extend_from_slice(&self.held[done..found.start()]);
            self.ready.extend_from_slice(REPLACEMENT);
            self.count.fetch_add(1, Ordering::Relaxed);
            done = found.end();
        }
        if done < open {
            self.ready.extend_from_slice(&self.held[done..open]);
            done = open;
        }
        self.held.drain(..done);
    }
}

/// A reader whose secrets are replaced.
#[derive(Debug)]
pub(crate) struct Redacted<R> {
    pub(super) from: R,
    pub(super) stream: Option<Stream>,
}

impl<R: AsyncRead + Unpin> AsyncRead for Redacted<R> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { from, stream } = self.get_mut();
        let Some(stream) = stream else { return Pin::new(from).poll_read(context, into) };
        while stream.given == stream.ready.len() && !stream.ended {
            stream.ready.clear();
            stream.given = 0;
            let mut buffer = std::mem::take(&mut stream.buffer);
            let mut read = ReadBuf::new(&mut buffer);
            let polled = Pin::new(&mut *from).poll_read(context, &mut read);
            match (&polled, read.filled()) {
                (Poll::Ready(Ok(())), []) => stream.end(),
                (Poll::Ready(Ok(())), bytes) => stream.push(bytes),
                _ => {}
            }
            stream.buffer = buffer;
            ready!(polled)?;
        }
        let next = &stream.ready[stream.given..];
        let next = &next[..next.len().min(into.remaining())];
        into.put_slice(next);
        stream.given += next.len();
        Poll::Ready(Ok(()))
    }
}
