//! `logs --grep`: lines of the output, put together from the events that they are spread over.

use std::process::ExitCode;

use regex::bytes::Regex;
use serde_json::json;

use crate::client::{Channel, Follower};
use crate::failure::Stop;
use crate::output::Output;

/// A longer line is searched in pieces of this size, so that memory does not grow with a run's output.
const MAX_LINE_BYTES: usize = 1 << 20;

/// Exits as grep(1) does: with 1 if nothing matches.
pub(super) async fn run(
    pattern: &Regex,
    wanted: Option<Channel>,
    mut events: Follower<'_>,
    output: &mut Output,
) -> Result<ExitCode, Stop> {
    let mut found = false;
    let mut streams = [Channel::Stdout, Channel::Stderr].map(Lines::of);
    let mut show = |channel: Channel, line: &Line, output: &mut Output| -> Result<(), Stop> {
        if !pattern.is_match(&line.bytes) {
            return Ok(());
        }
        found = true;
        if output.is_json() {
            let text = String::from_utf8_lossy(&line.bytes);
            return output.json_line(&json!({ "seq": line.seq, "stream": channel.name(), "line": text }));
        }
        let mut bytes = format!("{}:{}:", line.seq, channel.name()).into_bytes();
        bytes.extend_from_slice(&line.bytes);
        bytes.push(b'\n');
        output.raw(&bytes)
    };
    while let Some(event) = events.next().await? {
        let Some((channel, bytes)) = event.output() else { continue };
        if wanted.is_some_and(|wanted| wanted != channel) {
            continue;
        }
        for stream in streams.iter_mut().filter(|stream| stream.channel == channel) {
            // What stands before and after a missing part is not one line.
            if event.omitted().is_some() {
                stream.rest().iter().try_for_each(|line| show(channel, line, output))?;
            }
            stream.push(event.seq, &bytes, |line| show(channel, line, output))?;
        }
    }
    for stream in &mut streams {
        stream.rest().iter().try_for_each(|line| show(stream.channel, line, output))?;
    }
    Ok(if found { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Without its end.
#[derive(Debug, Default, PartialEq, Eq)]
struct Line {
    /// Sequence number of the event in which the line begins.
    seq: u64,
    bytes: Vec<u8>,
}

/// One stream, cut into lines.
struct Lines {
    channel: Channel,
    /// The unfinished line.
    open: Line,
}

impl Lines {
    fn of(channel: Channel) -> Self {
        Self { channel, open: Line::default() }
    }

    fn push<E>(&mut self, seq: u64, bytes: &[u8], mut each: impl FnMut(&Line) -> Result<(), E>) -> Result<(), E> {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            for piece in piece.chunks(MAX_LINE_BYTES) {
                if self.open.bytes.is_empty() {
                    self.open.seq = seq;
                }
                if self.open.bytes.len() + piece.len() > MAX_LINE_BYTES {
                    each(&self.open)?;
                    self.open = Line { seq, bytes: Vec::new() };
                }
                self.open.bytes.extend_from_slice(piece);
                if self.open.bytes.pop_if(|last| *last == b'\n').is_some() {
                    each(&self.open)?;
                    self.open.bytes.clear();
                }
            }
        }
        Ok(())
    }

    fn rest(&mut self) -> Option<Line> {
        let open = std::mem::take(&mut self.open);
        (!open.bytes.is_empty()).then_some(open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(events: &[(u64, &[u8])]) -> Vec<(u64, Vec<u8>)> {
        let (mut stream, mut found) = (Lines::of(Channel::Stdout), Vec::new());
        for (seq, bytes) in events {
            let pushed: Result<(), std::convert::Infallible> = stream.push(*seq, bytes, |line| {
                found.push((line.seq, line.bytes.clone()));
                Ok(())
            });
            pushed.unwrap();
        }
        found.extend(stream.rest().map(|line| (line.seq, line.bytes)));
        found
    }

    #[test]
    fn lines_are_put_together_from_events() {
        let check = |events: &[(u64, &[u8])], expected: &[(u64, &str)]| {
            let expected: Vec<_> = expected.iter().map(|(seq, text)| (*seq, text.as_bytes().to_vec())).collect();
            assert_eq!(lines(events), expected);
        };
        check(&[(3, b"one\ntw"), (4, b"o"), (9, b"\nthree")], &[(3, "one"), (3, "two"), (9, "three")]);
        check(&[(1, b"\n\na\n")], &[(1, ""), (1, ""), (1, "a")]);
        check(&[(1, b"a\n"), (2, b"b\n")], &[(1, "a"), (2, "b")]);
        check(&[], &[]);
    }

    #[test]
    fn a_line_without_end_takes_no_more_memory() {
        let endless = vec![b'x'; 3 * MAX_LINE_BYTES + 5];
        let found = lines(&[(1, &endless[..7]), (2, &endless[7..]), (3, b"\nnext")]);
        assert!(found.iter().all(|(_, bytes)| bytes.len() <= MAX_LINE_BYTES));
        assert_eq!(found.iter().map(|(_, bytes)| bytes.len()).sum::<usize>(), endless.len() + 4);
        assert_eq!(found.last().unwrap(), &(3, b"next".to_vec()));
    }
}
