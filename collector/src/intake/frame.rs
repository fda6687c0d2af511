//! Checks what is in a segment's frame before it is stored: readers hand its lines to clients as they are, and the evidence
//! vouches for their numbers.

use std::borrow::Cow;

use schemas::message::{SEGMENT_PLAIN_BYTES, Segment};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The members of an event that are checked.
#[derive(Deserialize)]
struct Head<'a> {
    seq: u64,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(rename = "workspaceRun", default)]
    workspace_run: Option<IgnoredAny>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("the frame of a segment is not one zstd frame of {0} bytes")]
    Bytes(u64),
    #[error("line {line} of a segment is not event {seq}, or not the last one where the segment ends")]
    Line { line: usize, seq: u64 },
    #[error("event {0} is of a kind that only the collector writes")]
    Kind(u64),
}

/// The lines are as many as the numbers, each is the event with its number, and none is the terminal one.
pub(super) fn check(segment: &Segment) -> Result<(), FrameError> {
    let plain = plain(segment).ok_or(FrameError::Bytes(segment.plain_bytes))?;
    let mut seq = segment.first_seq;
    for (line, text) in plain.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let wrong = FrameError::Line { line, seq };
        let Some((b'\n', text)) = text.split_last() else { return Err(wrong) };
        let Ok(head) = serde_json::from_slice::<Head<'_>>(text) else { return Err(wrong) };
        if head.seq != seq || seq > segment.last_seq {
            return Err(wrong);
        }
        if head.workspace_run.is_some() || head.kind == "terminal" {
            return Err(FrameError::Kind(seq));
        }
        seq += 1;
    }
    if seq == segment.last_seq + 1 { Ok(()) } else { Err(FrameError::Line { line: 0, seq }) }
}

/// The content of the frame. However much it claims, no more memory is taken than a segment may have.
fn plain(segment: &Segment) -> Option<Vec<u8>> {
    let length = usize::try_from(segment.plain_bytes).ok().filter(|_| segment.plain_bytes <= SEGMENT_PLAIN_BYTES)?;
    // Readers take a frame for all there is: what comes after it would be in the log, and never be read.
    if zstd::zstd_safe::find_frame_compressed_size(&segment.frame).ok() != Some(segment.frame.len()) {
        return None;
    }
    zstd::bulk::decompress(&segment.frame, length).ok().filter(|plain| plain.len() == length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(first_seq: u64, last_seq: u64, text: &str) -> Segment {
        let frame = zstd::bulk::compress(text.as_bytes(), 1).unwrap().into();
        Segment { first_seq, last_seq, plain_bytes: text.len() as u64, status: None, frame }
    }

    fn event(seq: u64) -> String {
        format!(
            "{{\"seq\":{seq},\"createdAt\":\"2026-01-31T12:00:00.000Z\",\"type\":\"stdout\",\"data\":\"\\\"\\n\"}}\n"
        )
    }

    #[test]
    fn only_the_events_that_the_numbers_say_are_taken() {
        let events = |numbers: &[u64]| numbers.iter().map(|seq| event(*seq)).collect::<String>();
        for (first, last, text) in [(5, 6, events(&[5, 6])), (1, 1, events(&[1]))] {
            assert_eq!(check(&segment(first, last, &text)), Ok(()), "{text}");
        }
        let terminal = "{\"seq\":2,\"type\":\"terminal\",\"workspaceRun\":{\"id\":\"wsr_1\"}}\n";
        for (first, last, text) in [
            (5, 6, events(&[5, 5, 6, 6])),
            (5, 6, events(&[6, 5])),
            (5, 8, events(&[5, 6])),
            (5, 5, events(&[5, 6])),
            (5, 6, events(&[5, 7])),
            (4, 5, events(&[5, 6])),
            (1, 2, event(1) + event(2).trim_end()),
            (1, 1, "{\"seq\":1}\n".to_owned()),
            (1, 1, "{\"seq\":1,\"seq\":1,\"type\":\"stdout\"}\n".to_owned()),
            (1, 2, format!("{}junk\n", event(1))),
            (1, 2, format!("{}\n", event(1))),
            (1, 2, event(1) + terminal),
            (1, 2, event(1) + &terminal.replace("terminal", "stdout")),
        ] {
            assert!(check(&segment(first, last, &text)).is_err(), "{first} {last} {text}");
        }
    }

    #[test]
    fn a_frame_that_is_not_what_it_says_is_refused() {
        let good = segment(1, 1, &event(1));
        let with = |plain_bytes: u64, frame: Vec<u8>| Segment { plain_bytes, frame: frame.into(), ..good.clone() };
        let twice = [good.frame.clone(), good.frame.clone()].concat();
        let bomb = zstd::bulk::compress(&vec![b' '; 64 << 20], 1).unwrap();
        for wrong in [
            with(good.plain_bytes - 1, good.frame.to_vec()),
            with(good.plain_bytes + 1, good.frame.to_vec()),
            with(good.plain_bytes, twice),
            with(good.plain_bytes, good.frame[..good.frame.len() - 1].to_vec()),
            with(good.plain_bytes, b"junk".to_vec()),
            with(good.plain_bytes, bomb.clone()),
            with(64 << 20, bomb),
        ] {
            assert_eq!(check(&wrong), Err(FrameError::Bytes(wrong.plain_bytes)));
        }
    }
}
