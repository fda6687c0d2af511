//! Messages between services, the event log, and documents: a value that was read is written again in the same way.
use std::fmt::Debug;

use bytes::Bytes;
use schemas::Timestamp;
use schemas::canonical;
use schemas::event::Event;
use schemas::evidence::EvidenceBundle;
use schemas::evidence::event_log::read_index;
use schemas::id::RunId;
use schemas::message::usage::UsageBatch;
use schemas::message::{Control, EventMessage, Job, LiveNotice, decode_json, encode_json};
use schemas::run::RunStatus;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn message<T: Serialize + DeserializeOwned + Debug>(bytes: &[u8]) -> Option<T> {
    let message: T = decode_json(bytes).ok()?;
    let written = encode_json(&message).ok();
    let again: Option<T> = written.as_ref().and_then(|written| decode_json(written).ok());
    let again = again.and_then(|again| encode_json(&again).ok());
    assert!(written.is_some() && written == again, "{message:?} is not what it was after writing it");
    Some(message)
}

pub(crate) fn job(bytes: &[u8]) -> bool {
    let understood =
        [message::<Job>(bytes).is_some(), message::<LiveNotice>(bytes).is_some(), message::<Control>(bytes).is_some()];
    understood.contains(&true)
}

pub(crate) fn event_message(bytes: &[u8]) -> bool {
    let Ok(message) = EventMessage::decode(&Bytes::copy_from_slice(bytes)) else { return false };
    let written = message.encode().map(Bytes::from).ok();
    let again = written.and_then(|written| EventMessage::decode(&written).ok());
    assert_eq!(again.as_ref(), Some(&message), "it is not what it was after writing it");
    if let Some(segment) = message.segment {
        ingest::fuzzing::lines(&segment.frame, segment.first_seq, segment.last_seq, segment.plain_bytes);
    }
    true
}

/// The first 24 bytes are numbers; the rest is read as a frame, then as the content of one.
pub(crate) fn segment(bytes: &[u8]) -> bool {
    let Some((head, rest)) = bytes.split_at_checked(24) else { return false };
    let number = |at: usize| head[at..at + 8].iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
    let (first, last, plain) = (number(0), number(8), number(16));
    ingest::fuzzing::lines(rest, first, last, plain.min(1 << 20));
    let lines = rest.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let last = (lines.clone().count() as u64).checked_sub(1).and_then(|more| first.checked_add(more));
    let (Some(last), Ok(frame)) = (last, zstd::bulk::compress(rest, 1)) else { return false };
    let found = ingest::fuzzing::lines(&frame, first, last, rest.len() as u64).unwrap_or_default();
    assert!(found.iter().map(|(_, line)| &line[..]).eq(lines), "lines got lost");
    assert!(found.iter().map(|(seq, _)| *seq).eq(first..=last), "lines have other numbers");
    found.iter().all(|(_, line)| event(line))
}

fn event(line: &[u8]) -> bool {
    let Ok(event) = serde_json::from_slice::<Event>(line) else { return false };
    let written = serde_json::to_vec(&event).unwrap_or_default();
    assert_eq!(serde_json::from_slice::<Event>(&written).ok(), Some(event), "it is not what it was after writing it");
    true
}

pub(crate) fn log_index(bytes: &[u8]) -> bool {
    let Ok(entries) = read_index(bytes) else { return false };
    for entry in &entries {
        assert!(entry.first_seq <= entry.last_seq);
        assert!(entry.offset.checked_add(entry.length).is_some(), "{entry:?} ends beyond all numbers");
    }
    assert!(entries.windows(2).all(|pair| pair[0].last_seq < pair[1].first_seq && pair[0].offset <= pair[1].offset));
    true
}

pub(crate) fn usage(bytes: &[u8]) -> bool {
    message::<UsageBatch>(bytes).is_some()
}

/// A bundle that can be read can be written, and its canonical form is a bundle.
pub(crate) fn evidence(bytes: &[u8]) -> bool {
    let Ok(bundle) = serde_json::from_slice::<EvidenceBundle>(bytes) else { return false };
    // Canonical JSON refuses numbers beyond 2^53.
    let Ok(written) = canonical::to_vec(&bundle) else { return false };
    let again =
        serde_json::from_slice::<EvidenceBundle>(&written).ok().and_then(|again| canonical::to_vec(&again).ok());
    assert_eq!(again.as_ref(), Some(&written), "the canonical form is none");
    let value: Option<serde_json::Value> = serde_json::from_slice(&written).ok();
    assert_eq!(value.and_then(|value| canonical::to_vec(&value).ok()), Some(written));
    true
}

/// Identifiers, states and times.
pub(crate) fn words(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let (id, status, time) = (text.parse::<RunId>(), text.parse::<RunStatus>(), text.parse::<Timestamp>());
    if let Ok(id) = &id {
        assert_eq!(id.to_string(), text);
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{text:?} in a path or a key");
    }
    if let Ok(status) = &status {
        assert_eq!(status.as_str(), text);
    }
    if let Ok(time) = time {
        assert_eq!(time.to_string().parse().ok(), Some(time));
        let _ = (time.plus_millis(u64::MAX), Timestamp::now().millis_since(time), time.millis_since(Timestamp::now()));
    }
    id.is_ok() || status.is_ok() || time.is_ok() || schemas::env::is_name(text)
}
