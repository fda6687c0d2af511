//! Reading ahead on a thread of its own: an archive is decompressed while what came out of it before is written, as `tar`
//! does with `gzip` beside it.
use std::io::{self, Read};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread;

/// Each as large as what the kernel is given to write at once.
const BUFFER_BYTES: usize = 128 * 1024;
/// Two in hand, the others waiting: enough to bridge a file that takes its time.
const BUFFERS: usize = 8;

/// Runs `consume` with a reader that gives what `inner` gives, read by another thread. An error comes where it occurred.
pub(super) fn read_ahead<R: Read + Send, T>(inner: R, consume: impl FnOnce(Ahead) -> T) -> io::Result<T> {
    let (filled_sender, filled) = mpsc::sync_channel(BUFFERS);
    let (used, empty) = mpsc::channel();
    for _ in 0..BUFFERS {
        // Only a closed channel refuses, and the other end is here.
        let _ = used.send(Vec::new());
    }
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("read-ahead".into());
        thread.spawn_scoped(scope, move || fill(inner, &empty, &filled_sender))?;
        Ok(consume(Ahead { filled, used, current: Vec::new(), position: 0 }))
    })
}

/// Reads until the end or an error, or until the reader is dropped.
fn fill(mut inner: impl Read, empty: &Receiver<Vec<u8>>, filled: &SyncSender<io::Result<Vec<u8>>>) {
    while let Ok(mut buffer) = empty.recv() {
        buffer.resize(BUFFER_BYTES, 0);
        let mut length = 0;
        let ended = loop {
            match inner.read(&mut buffer[length..]) {
                Ok(0) => break Some(Ok(())),
                Ok(bytes) => length += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Some(Err(error)),
            }
            if length == BUFFER_BYTES {
                break None;
            }
        };
        buffer.truncate(length);
        let is_wanted = length == 0 || filled.send(Ok(buffer)).is_ok();
        if let Some(Err(error)) = ended {
            let _ = filled.send(Err(error));
            return;
        }
        if ended.is_some() || !is_wanted {
            return;
        }
    }
}

/// Dropping it ends the other thread, at the latest after one more read.
pub(super) struct Ahead {
    filled: Receiver<io::Result<Vec<u8>>>,
    used: Sender<Vec<u8>>,
    current: Vec<u8>,
    position: usize,
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position == self.current.len() {
            let Ok(next) = self.filled.recv() else { return Ok(0) };
            let used = std::mem::replace(&mut self.current, next?);
            self.position = 0;
            // An error means that the other thread has come to the end.
            let _ = self.used.send(used);
        }
        let bytes = (&self.current[self.position..]).read(buffer)?;
        self.position += bytes;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes in pieces of `step`, then an error.
    struct Broken {
        left: usize,
        step: usize,
    }

    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.left == 0 {
                return Err(io::Error::other("broken"));
            }
            let bytes = self.step.min(self.left).min(buffer.len());
            buffer[..bytes].fill(7);
            self.left -= bytes;
            Ok(bytes)
        }
    }

    #[test]
    fn gives_the_same_bytes() {
        for length in [0, 1, BUFFER_BYTES - 1, BUFFER_BYTES, BUFFER_BYTES + 1, 20 * BUFFER_BYTES + 3] {
            let bytes: Vec<u8> = (0..length).map(|number| u8::try_from(number % 251).unwrap()).collect();
            let read = read_ahead(&bytes[..], |mut ahead| {
                let mut all = Vec::new();
                ahead.read_to_end(&mut all).unwrap();
                all
            });
            assert!(read.unwrap() == bytes, "{length}");
        }
    }

    #[test]
    fn an_error_comes_after_everything_before_it() {
        for left in [0, 5, BUFFER_BYTES, 3 * BUFFER_BYTES + 5] {
            let (bytes, error) = read_ahead(Broken { left, step: 1000 }, |mut ahead| {
                let mut all = Vec::new();
                let error = ahead.read_to_end(&mut all).unwrap_err();
                (all, error)
            })
            .unwrap();
            assert_eq!((bytes.len(), error.to_string().as_str()), (left, "broken"));
        }
    }

    #[test]
    fn who_stops_early_waits_for_nobody() {
        let endless = io::repeat(1);
        let first = read_ahead(endless, |mut ahead| ahead.read(&mut [0; 10]).unwrap());
        assert_eq!(first.unwrap(), 10);
    }
}
