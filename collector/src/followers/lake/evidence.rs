//! The rows of one run, read from its sealed objects: the bundle, the indexes of the event log, the test reports among
//! the artifacts.

use std::io::BufReader;

use infra::s3::{Store, StoreError};
use schemas::evidence::event_log::{IndexEntry, read_index};
use schemas::evidence::{EventLogPart, EvidenceBundle};
use schemas::lake::{ArtifactRow, AttemptRow, EventsIndexRow, Messages, RunRow, TestRow, UsageRow};
use schemas::test_report::{self, Problem, TestReport};
use sha2::{Digest, Sha256};
use tokio_util::io::SyncIoBridge;

use crate::db::lake_files::Member;
use crate::recent_objects::RecentObjects;

/// Maximum rows of `tests` for one run, and bytes of text in them: reports come from strangers.
const CASES: usize = 200_000;
const CASE_BYTES: usize = 16 << 20;

/// Maximum rows of `events_index` for one part of a log: a run that writes a byte now and then makes many segments.
const INDEX_ROWS: usize = 4_096;

/// All rows of the tables about one run.
#[derive(Debug)]
pub(super) struct RunRows {
    pub run: RunRow,
    pub attempts: Vec<AttemptRow>,
    pub artifacts: Vec<ArtifactRow>,
    pub events_index: Vec<EventsIndexRow>,
    pub tests: Vec<TestRow>,
    pub usage: Vec<UsageRow>,
}

/// Why a run has no rows.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The object is as it was sealed, and a newer version can read it: the run is not left out.
    #[error("this version cannot read `{key}`: {reason}")]
    NotUnderstood { key: String, reason: serde_json::Error },
    /// The object is not as it was sealed: retrying does not help.
    #[error("`{key}`: {reason}")]
    Changed { key: String, reason: String },
}

impl Unreadable {
    fn changed(key: &str, reason: &impl ToString) -> Self {
        Self::Changed { key: key.to_owned(), reason: reason.to_string() }
    }

    /// A sealed object that is gone was changed.
    fn of(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(key) => Self::changed(&key, &"it is gone"),
            error => Self::Store(error),
        }
    }

    pub(super) fn is_permanent(&self) -> bool {
        matches!(self, Self::Changed { .. })
    }
}

pub(super) async fn read(
    store: &Store,
    recent: &RecentObjects,
    member: &Member,
    messages: Messages,
) -> Result<RunRows, Unreadable> {
    let key = &member.evidence_key;
    let bytes = match recent.take(key) {
        Some(bytes) => bytes,
        None => store.get(key).await.map_err(Unreadable::of)?,
    };
    if hex::encode(Sha256::digest(&bytes)) != member.evidence_sha256 {
        return Err(Unreadable::changed(key, &format_args!("its SHA-256 is not {} any more", member.evidence_sha256)));
    }
    let not_understood = |reason| Unreadable::NotUnderstood { key: key.clone(), reason };
    let bundle: EvidenceBundle = serde_json::from_slice(&bytes).map_err(not_understood)?;
    let mut events_index = Vec::new();
    for (number, part) in bundle.event_log.parts.iter().enumerate() {
        events_index.extend(index(store, recent, &bundle, number, part).await?);
    }
    let tests = tests(store, &bundle, messages).await?;
    Ok(RunRows {
        run: RunRow::of(&bundle, key, &member.evidence_sha256, tests.len() as u64),
        attempts: AttemptRow::of(&bundle).collect(),
        artifacts: ArtifactRow::of(&bundle).collect(),
        events_index,
        usage: UsageRow::of(&bundle),
        tests,
    })
}

async fn index(
    store: &Store,
    recent: &RecentObjects,
    bundle: &EvidenceBundle,
    number: usize,
    part: &EventLogPart,
) -> Result<Vec<EventsIndexRow>, Unreadable> {
    let end = part.size_bytes.saturating_sub(1);
    let bytes = match recent.take(&part.object_key) {
        Some(index) => index,
        None => store.get_range(&part.object_key, part.index_offset..=end).await.map_err(Unreadable::of)?,
    };
    let entries = read_index(&bytes).map_err(|error| Unreadable::changed(&part.object_key, &error))?;
    Ok(coarse(&entries, INDEX_ROWS).iter().map(|entry| EventsIndexRow::of(bundle, number, part, entry)).collect())
}

/// Joins neighbours if there are too many: their frames follow each other, and can be decompressed as one.
fn coarse(entries: &[IndexEntry], rows: usize) -> Vec<IndexEntry> {
    let together = entries.len().div_ceil(rows).max(1);
    let join = |group: &[IndexEntry]| {
        let (first, last) = (group.first()?, group.last()?);
        let sum = |of: fn(&IndexEntry) -> u64| group.iter().map(of).fold(0, u64::saturating_add);
        let (length, plain_bytes) = (sum(|entry| entry.length), sum(|entry| entry.plain_bytes));
        Some(IndexEntry { last_seq: last.last_seq, length, plain_bytes, ..*first })
    };
    entries.chunks(together).filter_map(join).collect()
}

async fn tests(store: &Store, bundle: &EvidenceBundle, messages: Messages) -> Result<Vec<TestRow>, Unreadable> {
    let mut rows = Vec::new();
    let mut bytes_left = CASE_BYTES;
    for report in bundle.tests.iter().flat_map(|tests| &tests.reports) {
        let Some(artifact) = bundle.artifacts.iter().find(|artifact| artifact.id == report.artifact_id) else {
            continue;
        };
        let stream = match store.get_stream(&artifact.object_key, None).await {
            Ok(stream) => stream,
            // The owner of an artifact may delete it at any time.
            Err(StoreError::NotFound(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        let input = BufReader::new(SyncIoBridge::new(stream.into_async_read()));
        let (bundle, report) = (bundle.clone(), report.clone());
        let room = CASES - rows.len();
        let cases = tokio::task::spawn_blocking(move || cases(&bundle, &report, input, messages, room, bytes_left));
        let read = cases.await.map_err(|error| Unreadable::changed(&artifact.object_key, &error))?;
        match read {
            Ok(cases) => {
                bytes_left -= cases.iter().map(TestRow::text_bytes).sum::<usize>();
                rows.extend(cases);
            }
            Err(error) if error.problem == Problem::Unreadable => {
                let (action, key) = ("reading", artifact.object_key.clone());
                return Err(StoreError::Request { action, key, reason: error.to_string().into() }.into());
            }
            // The executor could read the report, so it was changed since. The run keeps its other rows.
            Err(error) => {
                tracing::error!(key = artifact.object_key, %error, "a test report was changed; leaving out its rows");
            }
        }
    }
    Ok(rows)
}

fn cases(
    bundle: &EvidenceBundle,
    report: &TestReport,
    input: impl std::io::BufRead,
    messages: Messages,
    room: usize,
    mut bytes_left: usize,
) -> Result<Vec<TestRow>, test_report::ReportError> {
    let (mut rows, mut number, mut full) = (Vec::new(), 0, false);
    test_report::read(report.format, input, |case| {
        number += 1;
        let row = TestRow::of(bundle, report, number, case, messages);
        // The first case that does not fit ends the list, so that the rows are the beginning of the report.
        full |= rows.len() >= room || row.text_bytes() > bytes_left;
        if !full {
            bytes_left -= row.text_bytes();
            rows.push(row);
        }
    })?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bundle() -> EvidenceBundle {
        let at = "2026-01-31T12:00:00.000Z";
        let stream = json!({"bytesTotal": 0, "bytesStored": 0, "bytesDropped": 0, "truncated": false});
        serde_json::from_value(json!({
            "schemaVersion": "1.1", "workspaceRunId": "wsr_1", "orgId": "org_1", "projectId": "prj_1", "status": "canceled",
            "outcome": "cancellation", "outcomeSource": "user", "command": "true", "createdAt": at, "metadata": {},
            "envKeys": [], "artifactIds": [], "artifactErrors": [], "cleanupStatus": "not_requested",
            "orchestrationSucceeded": true, "attempts": [], "timing": {"sealedAt": at}, "resources": {}, "artifacts": [],
            "template": {"id": "tpl_1", "slug": "s", "version": "1", "versionId": "tplv_1"},
            "eventLog": {"firstSeq": 1, "lastSeq": 1, "count": 1, "parts": [], "merkleRoot": ""},
            "completeness": {"complete": true, "gaps": [], "lostAttempts": [], "bytesDropped": 0, "truncatedStreams": [],
                "redactions": 0, "stdoutBytes": 0, "stderrBytes": 0, "stdout": stream, "stderr": stream},
            "usage": {"computeUnitMillis": 0, "artifactBytesStored": 0},
        }))
        .unwrap()
    }

    #[test]
    fn the_beginning_of_a_report_that_is_too_large_is_kept() {
        let case =
            |name: &str| format!("<testcase name=\"{name}\"><failure message=\"{}\"/></testcase>", "m".repeat(90));
        let report = format!("<testsuite>{}{}{}</testsuite>", case("a"), case(&"b".repeat(50)), case("c"));
        let (format, artifact_id) = (test_report::ReportFormat::Junit, "art_1".parse().unwrap());
        let about = TestReport { artifact_id, format, counts: test_report::TestCounts::default() };
        for (room, bytes, messages, expected) in [
            (9, 9999, Messages::Keep, 3),
            (2, 9999, Messages::Keep, 2),
            (9, 100, Messages::Keep, 1),
            (9, 100, Messages::Drop, 3),
            (9, 40, Messages::Drop, 1),
            (0, 9999, Messages::Keep, 0),
        ] {
            let rows = cases(&bundle(), &about, report.as_bytes(), messages, room, bytes).unwrap();
            assert_eq!(rows.len(), expected, "{room} {bytes} {messages:?}");
            assert!(rows.iter().all(|row| row.message.is_some() == (messages == Messages::Keep)));
            assert!(rows.iter().zip(1..).all(|(row, number)| row.case_number == number));
        }
        assert!(cases(&bundle(), &about, &b"<testsuite>"[..], Messages::Drop, 9, 9).is_err());
    }

    #[test]
    fn an_index_of_too_many_segments_gets_coarser_and_has_no_holes() {
        let entry = |n: u64| IndexEntry {
            first_seq: n * 2 + 1,
            last_seq: n * 2 + 2,
            offset: n * 10,
            length: 10,
            plain_bytes: 7,
        };
        let entries: Vec<IndexEntry> = (0..10).map(entry).collect();
        assert_eq!(coarse(&entries, 10), entries);
        let joined = coarse(&entries, 4);
        let found: Vec<_> =
            joined.iter().map(|e| (e.first_seq, e.last_seq, e.offset, e.length, e.plain_bytes)).collect();
        assert_eq!(found, [(1, 6, 0, 30, 21), (7, 12, 30, 30, 21), (13, 18, 60, 30, 21), (19, 20, 90, 10, 7)]);
        assert_eq!(coarse(&[], 4), []);
    }

    #[test]
    fn who_was_never_claimed_used_nothing() {
        assert_eq!(UsageRow::of(&bundle()), []);
        assert_eq!(RunRow::of(&bundle(), "k", "d", 0).tests_total, None);
    }
}
