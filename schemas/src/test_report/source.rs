//! The bytes of an XML report on their way to the parser: counted, and refused where there are too many at once.

use std::io::{self, BufRead, Read};

use super::error::{Problem, ReportError};
use super::limits::{PIECE_BYTES, REPORT_BYTES};

#[derive(Debug)]
pub(super) struct Source<R> {
    input: R,
    line: u64,
    /// Bytes that the report may still have.
    report_bytes: u64,
    /// Bytes that the parser may still take at once.
    piece_bytes: usize,
    refused: Option<ReportError>,
}

impl<R: BufRead> Source<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, line: 1, report_bytes: REPORT_BYTES, piece_bytes: PIECE_BYTES, refused: None }
    }

    /// Begins anew: the parser has dropped the bytes that it held.
    pub(super) fn next_piece(&mut self) {
        self.piece_bytes = PIECE_BYTES;
    }

    /// Prefers a problem with the bytes to a problem with their meaning.
    pub(super) fn error(&self, problem: Problem) -> ReportError {
        self.refused.clone().unwrap_or(ReportError { line: self.line, problem })
    }

    /// Returns a refusal that the parser did not come back for.
    pub(super) fn finish(&self) -> Result<(), ReportError> {
        self.refused.clone().map_or(Ok(()), Err)
    }

    fn check(&mut self) -> io::Result<()> {
        let limit = match (self.report_bytes, self.piece_bytes) {
            (0, _) => Some(Problem::TooLarge { limit: REPORT_BYTES }),
            (_, 0) => Some(Problem::TooLong { what: "a text, comment or tag", limit: PIECE_BYTES }),
            _ => None,
        };
        if let Some(problem) = limit
            && !self.input.fill_buf()?.is_empty()
        {
            self.refused.get_or_insert(ReportError { line: self.line, problem });
        }
        if self.refused.is_some() { Err(io::ErrorKind::InvalidInput.into()) } else { Ok(()) }
    }
}

impl<R: BufRead> BufRead for Source<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.check()?;
        let available = self.input.fill_buf()?;
        let left = usize::try_from(self.report_bytes).unwrap_or(usize::MAX).min(self.piece_bytes);
        Ok(&available[..available.len().min(left)])
    }

    fn consume(&mut self, amount: usize) {
        if amount == 0 {
            // `fill_buf` could wait for more bytes.
            return;
        }
        if let Ok(available) = self.input.fill_buf() {
            let consumed = &available[..amount];
            if let Some(at) = consumed.iter().position(|byte| *byte == 0) {
                let line = self.line + newlines(&consumed[..at]);
                self.refused.get_or_insert(ReportError { line, problem: Problem::Nul });
            }
            self.line += newlines(consumed);
        }
        self.report_bytes = self.report_bytes.saturating_sub(amount as u64);
        self.piece_bytes = self.piece_bytes.saturating_sub(amount);
        self.input.consume(amount);
    }
}

impl<R: BufRead> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let read = available.len().min(buffer.len());
        buffer[..read].copy_from_slice(&available[..read]);
        self.consume(read);
        Ok(read)
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}
