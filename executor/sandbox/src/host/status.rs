//! Reads a sandbox's status, which tells the command's exit code from failures of the sandbox itself.
use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use crate::kernel::process::wait_readable;
use crate::protocol::status::Document;

#[derive(Debug)]
pub(super) struct Status {
    /// Does not block.
    pipe: OwnedFd,
    read: Vec<u8>,
}

impl Status {
    /// Returns the reader and the end that bubblewrap writes to.
    pub(super) fn pipe() -> io::Result<(Self, OwnedFd)> {
        let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        rustix::fs::fcntl_setfl(&reader, OFlags::NONBLOCK)?;
        Ok((Self { pipe: reader, read: Vec::new() }, writer))
    }

    /// Waits for the pid of the sandbox's pid 1; `None` if bubblewrap ended without one. Blocking.
    pub(super) fn child_pid(&mut self, deadline: Instant) -> io::Result<Option<i32>> {
        loop {
            if let Some(pid) = self.documents().find_map(|document| document.child_pid) {
                return Ok(Some(pid));
            }
            match self.read_some()? {
                Some(0) => return Ok(None),
                Some(_) => {}
                None => wait_readable(&self.pipe, deadline)?,
            }
        }
    }

    /// To be called after bubblewrap ended: what it had to say is in the pipe.
    pub(super) fn exit_code(&mut self) -> io::Result<Option<i32>> {
        while self.read_some()?.is_some_and(|bytes| bytes > 0) {}
        Ok(self.documents().find_map(|document| document.exit_code))
    }

    /// To be called after [`exit_code`](Self::exit_code).
    pub(super) fn failure(&self) -> Option<String> {
        self.documents().find_map(|document| document.failure)
    }

    fn documents(&self) -> impl Iterator<Item = Document> {
        // An incomplete last document is an error, and ends the iteration, until the rest has arrived.
        serde_json::Deserializer::from_slice(&self.read).into_iter().map_while(Result::ok)
    }

    /// `None` if there is nothing to read now.
    fn read_some(&mut self) -> io::Result<Option<usize>> {
        let mut buffer = [0; 512];
        match rustix::io::read(&self.pipe, &mut buffer) {
            Ok(bytes) => {
                self.read.extend_from_slice(&buffer[..bytes]);
                Ok(Some(bytes))
            }
            Err(Errno::AGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
