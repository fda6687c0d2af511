//! Whatever a service can write, from any input that it accepts, is a message that the next one can read.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is a failure")]

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use schemas::Timestamp;
use schemas::archive::ArchiveRef;
use schemas::artifact::{ArtifactError, ArtifactErrorCode, ArtifactLimits, ArtifactRequest};
use schemas::cut::cut;
use schemas::egress::{EgressAttempt, EgressPolicy, EgressReason, EgressReport, MAX_LISTED, MAX_RULES};
use schemas::event::{Event, EventKind, Output};
use schemas::id::{
    ArtifactId, CommandId, ExecutorId, OrgId, ProjectId, RunId, SandboxId, TemplateId, TemplateVersionId,
};
use schemas::limits::{
    ARTIFACTS, COMMAND_BYTES, ENV_BYTES, ENV_NAME_CHARS, ENV_VARIABLES, NAME_BYTES, PATH_BYTES, SENTENCE_BYTES,
};
use schemas::message::usage::{Meter, UsageBatch, UsageData, UsageEvent};
use schemas::message::{
    CollectedArtifact, Control, EventMessage, Finished, Job, LAST_SEQ, Limits, LiveNotice, LiveRun, MAX_BYTES,
    PhaseTimes, Resources, Room, RootFs, RunEnd, SEGMENT_PLAIN_BYTES, Segment, StreamTotals, TemplateRef, Verdict,
    decode_json, encode_json,
};
use schemas::run::{CleanupStatus, FailureReason, RunStatus};
use schemas::test_report::{ReportFormat, TestCounts, TestReport};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Files that a run's patterns find together, and requests of a run: each can be an artifact or an error.
const FILES: usize = 1_000 + ARTIFACTS;

/// A suffix as long as identifiers of strangers may be.
fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(prefix: &str) -> T {
    format!("{prefix}_{}", "z".repeat(64)).parse().unwrap()
}

/// The longest texts there are, of characters that grow most as JSON, and others.
fn hostile(bytes: usize) -> impl Strategy<Value = String> {
    let character = prop_oneof![Just('\u{1}'), Just('"'), Just('\\'), Just('\u{fffd}'), Just('a'), Just('😀')];
    (character, prop_oneof![Just(bytes), 1..=bytes])
        .prop_map(|(character, bytes)| std::iter::repeat_n(character, (bytes / character.len_utf8()).max(1)).collect())
}

fn written<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(message: &T) {
    let bytes = encode_json(message).unwrap();
    assert_eq!(&decode_json::<T>(&bytes).unwrap(), message);
}

/// An attempt that came to its end.
fn times() -> PhaseTimes {
    let now = Timestamp::now();
    PhaseTimes {
        claimed_at: now,
        fetched_at: Some(now),
        extracted_at: Some(now),
        started_at: Some(now),
        finished_at: Some(now),
        collected_at: Some(now),
        ended_at: now,
        command_ms: Some(u64::MAX),
        sandbox_ms: u64::MAX,
    }
}

/// The longest report of egress.
fn egress() -> EgressReport {
    let now = Timestamp::now();
    EgressReport {
        allow: vec![
            format!("*.{}.example.org:65535", ["x"; 3].map(|x| x.repeat(60)).join(".")).parse().unwrap();
            MAX_RULES
        ],
        attempts: vec![
            EgressAttempt {
                host: "h".repeat(253),
                port: u16::MAX,
                allowed: false,
                reason: Some(EgressReason::ServerNameMismatch),
                count: u64::MAX,
                bytes_sent: u64::MAX,
                bytes_received: u64::MAX,
                first_at: now,
            };
            MAX_LISTED
        ],
        attempts_not_listed: u64::MAX,
    }
}

/// What an executor reports about files with these paths and names: as it collects them, one after the other.
fn report(files: &[(String, String)], errors: &[(String, String)], message: &str) -> Finished {
    let (now, mut room) = (Timestamp::now(), Room::default());
    let (mut artifacts, mut artifact_errors, mut test_reports) = (Vec::new(), Vec::new(), Vec::new());
    let mut failed = |room: &mut Room, path: &str, message: &str| {
        let error = ArtifactError::new(ArtifactErrorCode::ArtifactCollectFailed, message, path);
        if room.take_error(&error) {
            artifact_errors.push(error);
        }
    };
    for (path, name) in files {
        if !room.take_artifact(path, name) {
            failed(&mut room, path, "no room");
            continue;
        }
        let most = u64::MAX >> 1;
        let (artifact_id, format) = (id::<ArtifactId>("art"), ReportFormat::Junit);
        let counts = TestCounts {
            total: most,
            passed: most,
            failed: most,
            errors: most,
            skipped: most,
            flaky: most,
            duration_ms: most,
        };
        artifacts.push(CollectedArtifact {
            id: artifact_id.clone(),
            path: path.clone(),
            name: name.clone(),
            size_bytes: u64::MAX,
            sha256: "f".repeat(64),
            content_type: "text/javascript; charset=utf-8".to_owned(),
            object_key: format!(
                "runs/org={0}/project={0}/date=2026-01-31/run={0}/artifacts/{0}/{name}",
                "z".repeat(68)
            ),
            created_at: now,
        });
        test_reports.push(TestReport { artifact_id, format, counts });
    }
    for (path, message) in errors {
        failed(&mut room, path, message);
    }
    artifact_errors.extend(room.into_last_error());
    let listed = artifacts.len() + artifact_errors.len();
    assert!(listed <= files.len() + errors.len());
    Finished {
        executor_id: id::<ExecutorId>("exe"),
        sandbox_id: id::<SandboxId>("sbx"),
        command_id: id::<CommandId>("cmd"),
        verdict: Verdict::Failed { reason: FailureReason::SandboxUnavailable },
        message: Some(cut(message, SENTENCE_BYTES)),
        exit_code: Some(i32::MIN),
        signal: Some(i32::MIN),
        oom_killed: false,
        cleanup: CleanupStatus::NotRequested,
        times: times(),
        resources: Resources::default(),
        limits: Limits {
            memory_bytes: u64::MAX,
            pids: u64::MAX,
            cpu_millis: Some(u64::MAX),
            disk_bytes: Some(u64::MAX),
            timeout_ms: u64::MAX,
            artifacts: Some(WIDEST),
        },
        streams: StreamTotals::default(),
        redactions: u64::MAX,
        truncated_streams: vec!["stdout".to_owned(), "stderr".to_owned()],
        artifacts,
        artifact_errors,
        test_reports,
        egress: Some(egress()),
    }
}

fn ends(finished: Finished) {
    let end = Some(RunEnd::Finished(Box::new(finished)));
    let segment = Segment {
        first_seq: LAST_SEQ,
        last_seq: LAST_SEQ,
        plain_bytes: SEGMENT_PLAIN_BYTES,
        status: Some(RunStatus::Collecting),
        frame: Bytes::from(vec![0; 1 << 20]),
    };
    let message = EventMessage { run_id: id("wsr"), attempt: u32::MAX, segment: Some(segment), end };
    let bytes = Bytes::from(message.encode().unwrap());
    assert_eq!(EventMessage::decode(&bytes).unwrap(), message);
}

#[test]
fn the_longest_report_has_room_and_counts_what_it_leaves_out() {
    for character in ["\u{1}", "a", "😀"] {
        let path = character.repeat(PATH_BYTES / character.len());
        let files = vec![(path.clone(), "\"".repeat(200)); FILES];
        let errors = vec![(character.repeat(20_000), path.repeat(3)); FILES];
        let finished = report(&files, &errors, &path.repeat(9));
        let (named, told) = (finished.artifacts.len(), finished.artifact_errors.len());
        assert!(named > 90 && told > 5, "{named} artifacts and {told} errors are not what 4 MiB have room for");
        let last = &finished.artifact_errors.last().unwrap().message;
        let more = last.rsplit_once("(and ").unwrap().1.split_once(' ').unwrap().0;
        assert_eq!(named + told + more.parse::<usize>().unwrap(), 2 * FILES, "{character:?}: {more}");
        ends(finished);
    }
    // Files as real runs have them are all named.
    let files: Vec<_> =
        (0..FILES).map(|n| (format!("build/reports/{}/{n}.xml", "p".repeat(150)), format!("{n}.xml"))).collect();
    let finished = report(&files, &[], "");
    assert_eq!((finished.artifacts.len(), finished.artifact_errors.len()), (FILES, 0));
}

#[test]
fn nothing_is_written_that_would_be_refused() {
    let finished = Finished { message: Some("x".repeat(MAX_BYTES)), ..report(&[], &[], "") };
    let end = Some(RunEnd::Finished(Box::new(finished)));
    let message = EventMessage { run_id: id("wsr"), attempt: 1, segment: None, end };
    assert!(message.encode().is_err());
    let good = Segment { first_seq: 1, last_seq: 2, plain_bytes: 9, status: None, frame: Bytes::from_static(b"frame") };
    let of = |segment: Segment| EventMessage { run_id: id("wsr"), attempt: 1, segment: Some(segment), end: None };
    assert!(of(good.clone()).encode().is_ok());
    for wrong in [
        Segment { first_seq: 0, ..good.clone() },
        Segment { first_seq: 3, ..good.clone() },
        Segment { last_seq: LAST_SEQ + 1, ..good.clone() },
        Segment { last_seq: u64::MAX, ..good.clone() },
        Segment { plain_bytes: 0, ..good.clone() },
        Segment { plain_bytes: SEGMENT_PLAIN_BYTES + 1, ..good.clone() },
        Segment { frame: Bytes::new(), ..good.clone() },
        Segment { frame: vec![0; 2 << 20].into(), ..good.clone() },
        Segment { status: Some(RunStatus::Succeeded), ..good.clone() },
    ] {
        assert!(of(wrong.clone()).encode().is_err(), "{wrong:?}");
    }
}

/// Bounds that take the most room in a message.
const WIDEST: ArtifactLimits = ArtifactLimits {
    artifact_bytes: Some(u64::MAX),
    run_bytes: Some(u64::MAX),
    artifacts: Some(u64::MAX),
    collection_ms: Some(u64::MAX),
};

fn job(command: String, path: String, name: String, env: String) -> Job {
    let rule = format!("*.{}.example.org:65535", ["x"; 3].map(|x| x.repeat(60)).join("."));
    Job {
        run_id: id::<RunId>("wsr"),
        org_id: id::<OrgId>("org"),
        project_id: id::<ProjectId>("prj"),
        command,
        template: TemplateRef {
            id: id::<TemplateId>("tpl"),
            version_id: id::<TemplateVersionId>("tplv"),
            slug: "s".repeat(63),
            version: "v".repeat(63),
            root_fs: Some(RootFs {
                key: "k".repeat(1024),
                sha256: "f".repeat(64),
                size_bytes: u64::MAX,
                tar_bytes: u64::MAX,
                env: BTreeMap::from([("PATH".to_owned(), env)]),
            }),
        },
        archive: ArchiveRef { key: "k".repeat(1024), sha256: "f".repeat(64), size_bytes: u64::MAX },
        artifacts: vec![ArtifactRequest { path, name: Some(name), report: Some(ReportFormat::Junit) }; ARTIFACTS],
        timeout_ms: u64::MAX,
        date: "2026-01-31".to_owned(),
        queued_at: Timestamp::now(),
        traceparent: "t".repeat(55),
        env_keys: vec!["E".repeat(ENV_NAME_CHARS); ENV_VARIABLES],
        egress: Some(EgressPolicy { allow: vec![rule.parse().unwrap(); MAX_RULES] }),
        artifact_limits: WIDEST,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_ending_can_be_read(
        files in prop::collection::vec((hostile(PATH_BYTES), hostile(200)), 0..40),
        errors in prop::collection::vec((hostile(30_000), hostile(30_000)), 0..10),
        times in 1..60_usize,
        message in hostile(100_000),
    ) {
        let many = |of: &[(String, String)]| -> Vec<(String, String)> {
            of.iter().cycle().take(of.len() * times).take(FILES).cloned().collect()
        };
        ends(report(&many(&files), &many(&errors), &message));
    }

    #[test]
    fn every_job_can_be_read(
        command in hostile(COMMAND_BYTES), path in hostile(PATH_BYTES), name in hostile(NAME_BYTES), env in hostile(ENV_BYTES),
    ) {
        written(&job(command, path, name, env));
    }

    /// A segment is sent when 64 KiB are full, so it has at most one event beyond that.
    #[test]
    fn every_event_has_room_in_a_segment(bytes in prop::collection::vec(any::<u8>(), 1..64), path in hostile(PATH_BYTES)) {
        let output = Output::from_bytes(&bytes.iter().copied().cycle().take(32 * 1024).collect::<Vec<u8>>());
        let error = ArtifactError::new(ArtifactErrorCode::FileNotFound, &path.repeat(4), &path);
        for kind in [
            EventKind::Stdout(output),
            EventKind::ArtifactCollected { artifact_id: id("art"), path },
            EventKind::ArtifactError { error },
        ] {
            let event = serde_json::to_vec(&Event { seq: LAST_SEQ, created_at: Timestamp::now(), kind }).unwrap();
            prop_assert!(event.len() as u64 + 64 * 1024 < SEGMENT_PLAIN_BYTES, "{} bytes", event.len());
        }
    }

    #[test]
    fn every_other_message_can_be_read(number: u64, terminal: bool) {
        // As many as a collector stores, seals or records at once.
        let run = LiveRun { run_id: id("wsr"), last_seq: number, terminal };
        written(&LiveNotice { runs: vec![run; 256] });
        written(&Control::Fence { run_id: id("wsr"), attempt: u32::MAX });
        written(&Control::Cancel { run_id: id("wsr") });
        let data = |meter| UsageData { org_id: id("org"), project_id: id("prj"), meter, quantity_millis: number };
        let event = |meter| UsageEvent::new(&id("wsr"), u32::MAX, Timestamp::now(), data(meter));
        written(&UsageBatch { run_id: id("wsr"), events: Meter::ALL.iter().copied().map(event).collect() });
    }
}
