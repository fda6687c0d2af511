//! The last bytes of a stream, in a ring that is an unnamed file: many runs may have one, so it must not be memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

/// Holds the last `capacity` of the bytes that were pushed. A disk that fails loses them, but stops nobody.
#[derive(Debug)]
pub(crate) struct Tail {
    /// `None` once the disk failed.
    file: Option<File>,
    capacity: u64,
    pushed: u64,
}

impl Tail {
    pub(super) fn new(folder: PathBuf, capacity: u64) -> Self {
        let file = tempfile::tempfile_in(folder).inspect_err(lost).ok();
        Self { file, capacity, pushed: 0 }
    }

    /// Number of bytes pushed so far.
    pub(super) fn pushed(&self) -> u64 {
        self.pushed
    }

    /// Number of bytes that are kept: the last ones.
    pub(super) fn kept(&self) -> u64 {
        if self.file.is_some() { self.pushed.min(self.capacity) } else { 0 }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        if let Err(error) = self.write(bytes) {
            lost(&error);
            self.file = None;
        }
        self.pushed += bytes.len() as u64;
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let surplus = (bytes.len() as u64).saturating_sub(self.capacity);
        let mut at = self.pushed + surplus;
        let mut rest = &bytes[length(surplus)..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(self.contiguous(at)));
            file.write_all_at(now, at % self.capacity)?;
            at += now.len() as u64;
            rest = later;
        }
        Ok(())
    }

    /// Reads what was pushed at `at`, counted from the first byte that ever was; 0 at the end.
    pub(super) fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(file) = &self.file else { return Ok(0) };
        let left = length(self.pushed.saturating_sub(at));
        let wanted = buffer.len().min(left).min(self.contiguous(at));
        file.read_exact_at(&mut buffer[..wanted], at % self.capacity)?;
        Ok(wanted)
    }

    /// Bytes from there to where the ring begins again.
    fn contiguous(&self, at: u64) -> usize {
        length(self.capacity - at % self.capacity)
    }
}

fn lost(error: &io::Error) {
    tracing::error!(%error, "cannot keep the end of an output");
}

fn length(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn content(tail: &Tail) -> Vec<u8> {
        let (mut at, mut content) = (tail.pushed() - tail.kept(), Vec::new());
        let mut buffer = [0; 5];
        loop {
            let read = tail.read(at, &mut buffer).unwrap();
            if read == 0 {
                return content;
            }
            at += read as u64;
            content.extend_from_slice(&buffer[..read]);
        }
    }

    proptest! {
        #[test]
        fn keeps_exactly_the_last_bytes(pieces: Vec<Vec<u8>>, capacity in 1u64..300) {
            let mut tail = Tail::new(std::env::temp_dir(), capacity);
            for piece in &pieces {
                tail.push(piece);
            }
            let all = pieces.concat();
            prop_assert_eq!(tail.pushed(), all.len() as u64);
            let kept = all.len().min(length(capacity));
            prop_assert_eq!(content(&tail), &all[all.len() - kept..]);
        }
    }

    #[test]
    fn a_disk_that_fails_stops_nobody() {
        let mut tail = Tail::new("/nonexistent".into(), 10);
        tail.push(b"abc");
        assert_eq!((tail.pushed(), tail.kept(), tail.read(0, &mut [0; 9]).unwrap()), (3, 0, 0));
    }
}
