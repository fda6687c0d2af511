//! Evidence of runs that nobody ran: many, different, and the same each time. For tests of what reads evidence, and for
//! benchmarks.

use std::collections::BTreeMap;

use database::Client;
use infra::s3::Store;
use schemas::Timestamp;
use schemas::archive::Archive;
use schemas::evidence::event_log::{Part, PartBuilder};
use schemas::evidence::{
    Attempt, Completeness, EventLog, EventLogPart, EvidenceArtifact, EvidenceBundle, ResourceReport, SCHEMA_VERSION,
    StreamReport, Template, Timing, Usage,
};
use schemas::layout;
use schemas::message::{AttemptEnd, Limits, Resources};
use schemas::run::{CleanupStatus, FailureReason, Outcome, OutcomeSource, RunStatus};
use schemas::test_report::{self, ReportFormat, TestReport, TestSummary};
use sha2::{Digest, Sha256};
use time::Date;

const TEMPLATES: [&str; 4] = ["default", "golang", "python-node", "rust"];
const REPOSITORIES: u64 = 500;
const PROJECTS: u64 = 40;
const MINUTE_MS: u64 = 60_000;
const DAY_MINUTES: u64 = 24 * 60;

/// A number that depends on `number` alone and looks like none of its neighbours (SplitMix64).
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn id<T: std::str::FromStr<Err = schemas::id::InvalidId>>(prefix: &str, number: u64) -> T {
    format!("{prefix}_{number:026}").parse().expect("a well-formed id")
}

fn hex_of(number: u64) -> String {
    hex::encode(Sha256::digest(number.to_le_bytes()))
}

/// The part of a log with one segment, as if the events were those of a small run.
fn part(number: u64) -> Part {
    let line = format!("{{\"seq\":1,\"type\":\"stdout\",\"data\":\"run {number}\"}}\n");
    let mut builder = PartBuilder::default();
    builder.push(1, 9, line.len() as u64, &zstd::bulk::compress(line.as_bytes(), 1).expect("it compresses"));
    builder.finish().expect("a segment was pushed")
}

/// The outcomes of its tests.
fn report(number: u64) -> String {
    let roll = mixed(number);
    let failure = if roll.is_multiple_of(5) { "<failure message=\"no\"/>" } else { "" };
    format!(
        "<testsuite name=\"suite\"><testcase name=\"test_{}\" time=\"0.25\"/><testcase name=\"last\">{failure}</testcase></testsuite>",
        roll % 50
    )
}

/// The evidence of run number `number`, of this day.
#[expect(clippy::too_many_lines, reason = "one value with all its members")]
pub fn bundle(number: u64, day: Date) -> EvidenceBundle {
    let roll = mixed(number);
    let created_at = Timestamp::from(day.midnight().assume_utc()).plus_millis(roll % DAY_MINUTES * MINUTE_MS);
    let at = |seconds: u64| Some(created_at.plus_millis(seconds * 1000));
    let duration_ms = 500 + roll % 90_000;
    let (outcome, reason) = match roll % 20 {
        0 => (Outcome::Timeout, Some(FailureReason::Timeout)),
        1 => (Outcome::Error, Some(FailureReason::InternalError)),
        2..=5 => (Outcome::Failure, Some(FailureReason::CommandExit)),
        _ => (Outcome::Success, None),
    };
    let is_success = reason.is_none();
    let repository = mixed(roll) % REPOSITORIES;
    let project = repository % PROJECTS;
    let template = repository % TEMPLATES.len() as u64;
    let (org_id, project_id) = (id("org", project / 4), id("prj", project));
    let prefix = layout::run_folder(&org_id, &project_id, &day, &run_id(number));
    let part = part(number);
    let part = EventLogPart {
        object_key: format!("{prefix}/{}", layout::event_log_part(0)),
        size_bytes: part.bytes.len() as u64,
        sha256: part.sha256,
        first_seq: 1,
        last_seq: 9,
        index_offset: part.index_offset,
    };
    let report = report(number);
    let artifact = EvidenceArtifact {
        id: id("art", number),
        path: "reports/junit.xml".to_owned(),
        name: "junit.xml".to_owned(),
        size_bytes: report.len() as u64,
        sha256: hex::encode(Sha256::digest(&report)),
        content_type: "application/xml".to_owned(),
        object_key: format!("{prefix}/artifacts/{number}"),
    };
    let counts = test_report::read(ReportFormat::Junit, report.as_bytes(), |_| ()).expect("a report");
    let tests = TestReport { artifact_id: artifact.id.clone(), format: ReportFormat::Junit, counts };
    let stdout = StreamReport { bytes_total: roll % 50_000, bytes_stored: roll % 50_000, ..StreamReport::default() };
    let map = |name: &str, value: String| BTreeMap::from([(name.to_owned(), value)]);
    EvidenceBundle {
        schema_version: SCHEMA_VERSION.to_owned(),
        workspace_run_id: run_id(number),
        org_id,
        project_id,
        status: if is_success { RunStatus::Succeeded } else { RunStatus::Failed },
        outcome,
        outcome_source: OutcomeSource::Executor,
        outcome_message: None,
        command: format!("make -C service-{} test", repository % 7),
        created_at,
        metadata: map("branch", format!("feature/{}", roll % 97)),
        env_keys: vec!["CI".to_owned()],
        artifact_ids: vec![artifact.id.clone()],
        artifact_errors: Vec::new(),
        cleanup_status: CleanupStatus::Succeeded,
        orchestration_succeeded: true,
        archive: Some(Archive {
            sha256: hex_of(roll % 20_000),
            size_bytes: 10_000 + roll % 1_000_000,
            uploaded_at: at(1),
        }),
        command_id: Some(id("cmd", number)),
        duration_ms: Some(duration_ms),
        exit_code: is_success.then_some(0),
        failure_class: reason.map(FailureReason::class),
        failure_reason: reason,
        finished_at: at(100),
        sandbox_id: Some(id("sbx", number)),
        source_metadata: Some(map("repository", format!("example/repository-{repository}"))),
        started_at: at(4),
        timeout_ms: Some(600_000),
        attempts: vec![Attempt {
            attempt: 1,
            executor_id: id("exe", roll % 20),
            sandbox_id: id("sbx", number),
            command_id: id("cmd", number),
            claimed_at: created_at.plus_millis(2000),
            ended_at: at(101),
            ended: AttemptEnd::Exited,
            exit_code: is_success.then_some(0),
            signal: None,
            oom_killed: Some(false),
        }],
        timing: Timing {
            queued_at: at(1),
            claimed_at: at(2),
            fetched_at: at(3),
            extracted_at: at(3),
            started_at: at(4),
            finished_at: at(100),
            collected_at: at(101),
            sealed_at: created_at.plus_millis(102_000),
        },
        resources: ResourceReport {
            used: Resources {
                cpu_user_ms: Some(duration_ms / 2),
                memory_peak_bytes: Some(roll % (1 << 30)),
                ..Resources::default()
            },
            limits: Some(Limits {
                memory_bytes: 2 << 30,
                pids: 512,
                cpu_millis: None,
                disk_bytes: None,
                timeout_ms: 600_000,
                artifacts: None,
            }),
        },
        template: Template {
            id: id("tpl", template),
            slug: TEMPLATES[usize::try_from(template).unwrap_or_default()].to_owned(),
            version: "2026.11".to_owned(),
            version_id: id("tplv", template),
            digest: Some(format!("sha256:{}", hex_of(template))),
        },
        usage: Usage { compute_unit_millis: duration_ms + 3000, artifact_bytes_stored: artifact.size_bytes },
        artifacts: vec![artifact],
        event_log: EventLog { first_seq: 1, last_seq: 9, count: 9, parts: vec![part], merkle_root: hex_of(number) },
        completeness: Completeness {
            complete: true,
            stdout_bytes: stdout.bytes_total,
            stdout,
            ..Completeness::default()
        },
        egress: None,
        tests: TestSummary::of(&[tests]),
    }
}

/// The id of run number `number`.
pub fn run_id(number: u64) -> schemas::id::RunId {
    id("wsr", number)
}

/// Stores what the collector would have stored of these runs, and says that they are sealed.
pub async fn seal(store: &Store, database: &Client, numbers: std::ops::Range<u64>, day: Date) {
    let (mut ids, mut keys, mut digests) = (Vec::new(), Vec::new(), Vec::new());
    for number in numbers {
        let bundle = bundle(number, day);
        let [log] = &bundle.event_log.parts[..] else { panic!("one part") };
        let report_key = &bundle.artifacts[0].object_key;
        store.put_new(report_key, report(number).into(), "application/xml").await.expect("stored");
        store.put_new(&log.object_key, part(number).bytes.into(), "application/zstd").await.expect("stored");
        let bytes = schemas::canonical::to_vec(&bundle).expect("canonical JSON");
        let key = log.object_key.replace(&layout::event_log_part(0), layout::EVIDENCE);
        digests.push(hex::encode(Sha256::digest(&bytes)));
        store.put_new(&key, bytes.into(), "application/json").await.expect("stored");
        ids.push(bundle.workspace_run_id.to_string());
        keys.push(key);
    }
    let sql =
        "insert into collector.seals (run_id, ending, decided_at, last_seq, sealed_at, evidence_key, evidence_sha256)
               select id, '{}', now(), 9, clock_timestamp(), key, digest
               from unnest($1::text[], $2::text[], $3::text[]) as sealed (id, key, digest)";
    database.execute(sql, &[&ids, &keys, &digests]).await.expect("they are sealed");
}
