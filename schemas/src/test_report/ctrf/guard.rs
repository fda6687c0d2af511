//! Refusal of JSON that a parser would need much memory for, before the parser sees it: long strings and deep nesting.

use std::io::{self, BufRead, Read};

use crate::test_report::error::{Problem, ReportError};
use crate::test_report::limits::{DEPTH, PIECE_BYTES, REPORT_BYTES};

#[derive(Debug)]
pub(super) struct Guard<R> {
    input: R,
    line: u64,
    report_bytes: u64,
    depth: usize,
    /// Bytes of the unfinished string or number.
    piece_bytes: usize,
    state: State,
    refused: Option<Problem>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Outside,
    InString,
    AfterBackslash,
}

impl<R: BufRead> Guard<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, line: 1, report_bytes: 0, depth: 0, piece_bytes: 0, state: State::Outside, refused: None }
    }

    pub(super) fn refused(&self) -> Option<ReportError> {
        let problem = self.refused.clone()?;
        Some(ReportError { line: self.line, problem })
    }

    fn check(&mut self, byte: u8) -> Result<(), Problem> {
        self.piece_bytes += 1;
        self.state = match (self.state, byte) {
            (_, 0) => return Err(Problem::Nul),
            (State::InString, b'\\') => State::AfterBackslash,
            (State::InString, b'"') => State::Outside,
            (State::InString | State::AfterBackslash, _) => State::InString,
            (State::Outside, _) => {
                let goes_on = matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
                self.piece_bytes = if goes_on { self.piece_bytes } else { 0 };
                match byte {
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                    b'\n' => self.line += 1,
                    _ => {}
                }
                if byte == b'"' { State::InString } else { State::Outside }
            }
        };
        if self.depth > DEPTH {
            return Err(Problem::TooDeep { limit: DEPTH });
        }
        if self.piece_bytes > PIECE_BYTES {
            return Err(Problem::TooLong { what: "a string", limit: PIECE_BYTES });
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Guard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.report_bytes += read as u64;
        let within = if self.report_bytes > REPORT_BYTES {
            Err(Problem::TooLarge { limit: REPORT_BYTES })
        } else {
            buffer[..read].iter().try_for_each(|&byte| self.check(byte))
        };
        within.map_err(|problem| {
            self.refused.get_or_insert(problem);
            io::Error::from(io::ErrorKind::InvalidInput)
        })?;
        Ok(read)
    }
}
