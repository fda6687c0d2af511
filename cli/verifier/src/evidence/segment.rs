//! The events of one segment: as many as the index says, numbered one by one, the terminal one last.

use schemas::evidence::EvidenceBundle;
use schemas::evidence::event_log::IndexEntry;
use schemas::id::RunId;
use schemas::run::RunStatus;
use serde::Deserialize;

/// A segment that claims to be larger than this is not one of ours.
const MAX_PLAIN_BYTES: u64 = 64 << 20;

/// The ending of the run, as the log tells it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Terminal {
    id: RunId,
    status: RunStatus,
    #[serde(default)]
    exit_code: Option<i32>,
}

/// The members of an event that are checked.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    seq: u64,
    #[serde(default)]
    workspace_run: Option<Terminal>,
}

/// The terminal event, if the segment has it. An error is a defect of the segment.
pub(super) fn scan(frame: &[u8], entry: &IndexEntry) -> Result<Option<Terminal>, String> {
    let place = format!("segment {} to {}", entry.first_seq, entry.last_seq);
    let capacity = usize::try_from(entry.plain_bytes).ok().filter(|_| entry.plain_bytes <= MAX_PLAIN_BYTES);
    let capacity = capacity.ok_or_else(|| format!("{place} claims {} bytes", entry.plain_bytes))?;
    let plain = zstd::bulk::decompress(frame, capacity).map_err(|error| format!("{place}: {error}"))?;
    if plain.len() != capacity {
        return Err(format!("{place} has {} bytes, its index says {capacity}", plain.len()));
    }
    let (mut following, mut terminal) = (entry.first_seq, None);
    for line in plain.split_inclusive(|byte| *byte == b'\n') {
        if terminal.is_some() {
            return Err(format!("{place}: an event comes after the terminal one"));
        }
        let head: Head =
            serde_json::from_slice(line).map_err(|error| format!("{place}: event {following}: {error}"))?;
        if head.seq != following || following > entry.last_seq || line.last() != Some(&b'\n') {
            return Err(format!("{place}: expected event {following} on a line of its own, got event {}", head.seq));
        }
        following = following.saturating_add(1);
        terminal = head.workspace_run;
    }
    if following != entry.last_seq.saturating_add(1) {
        return Err(format!("{place} ends before event {following}"));
    }
    Ok(terminal)
}

impl Terminal {
    pub(super) fn contradiction(&self, bundle: &EvidenceBundle) -> Option<String> {
        let said = (&self.id, self.status, self.exit_code);
        (said != (&bundle.workspace_run_id, bundle.status, bundle.exit_code))
            .then(|| "the terminal event tells another ending than the bundle".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: &str =
        r#"{"seq":2,"type":"terminal","workspaceRun":{"id":"wsr_1","status":"failed","exitCode":3,"x":1}}"#;

    fn entry(first_seq: u64, last_seq: u64, plain: &str) -> IndexEntry {
        IndexEntry { first_seq, last_seq, offset: 0, length: 0, plain_bytes: plain.len() as u64 }
    }

    fn scanned(first_seq: u64, last_seq: u64, plain: &str) -> Result<Option<Terminal>, String> {
        scan(&zstd::bulk::compress(plain.as_bytes(), 1).unwrap(), &entry(first_seq, last_seq, plain))
    }

    #[test]
    fn a_segment_that_is_right_tells_the_ending() {
        assert_eq!(scanned(1, 1, "{\"seq\":1,\"type\":\"stdout\",\"data\":\"\\n\"}\n"), Ok(None));
        let terminal = scanned(1, 2, &format!("{{\"seq\":1}}\n{END}\n")).unwrap().unwrap();
        assert_eq!((terminal.status, terminal.exit_code), (RunStatus::Failed, Some(3)));
    }

    #[test]
    fn a_segment_that_lies_is_named() {
        let one = "{\"seq\":1}\n";
        for (first, last, plain, expected) in [
            (1, 2, one.to_owned(), "ends before event 2"),
            (1, 1, one.repeat(2), "expected event 2"),
            (2, 2, one.to_owned(), "expected event 2"),
            (1, 1, "{\"seq\":1}".to_owned(), "on a line of its own"),
            (1, 1, "\n".to_owned(), "event 1:"),
            (1, 1, String::new(), "ends before event 1"),
            (2, 3, format!("{END}\n{{\"seq\":3}}\n"), "after the terminal one"),
        ] {
            let error = scanned(first, last, &plain).unwrap_err();
            assert!(error.contains(expected), "{plain}: {error}");
        }
        let frame = zstd::bulk::compress(one.as_bytes(), 1).unwrap();
        let claims = |plain_bytes| scan(&frame, &IndexEntry { plain_bytes, ..entry(1, 1, one) }).unwrap_err();
        assert!(claims(u64::MAX).contains("claims"));
        assert!(claims(5).contains("segment 1 to 1:"));
        assert!(claims(50).contains("its index says 50"));
        assert!(scan(b"junk", &entry(1, 1, one)).is_err());
    }
}
