//! Examples about runs and their events.

use std::collections::BTreeMap;

use schemas::api::list::EventPage;
use schemas::api::run::{CreateRun, RunAnswer, RunResult, WorkspaceRun};
use schemas::artifact::ArtifactRequest;
use schemas::egress::RunNetwork;
use schemas::event::{Event, EventKind, Output};
use schemas::run::{CleanupStatus, RunStatus};
use schemas::test_report::ReportFormat;
use serde_json::Value;

use super::archives::archive;
use super::evidence::tests;
use super::{at, example_id, list, written};

pub(crate) fn create_run() -> Value {
    written(CreateRun {
        command: "make test".to_owned(),
        template: Some("python-node".to_owned()),
        artifacts: Some(artifacts()),
        metadata: Some(metadata()),
        env: Some(BTreeMap::from([("NPM_TOKEN".to_owned(), "npm_3x4mpl3".to_owned())]).into()),
        timeout_ms: Some(600_000),
        ..CreateRun::default()
    })
}

fn artifacts() -> Vec<ArtifactRequest> {
    vec![ArtifactRequest { path: "reports/junit.xml".to_owned(), name: None, report: Some(ReportFormat::Junit) }]
}

fn metadata() -> BTreeMap<String, String> {
    BTreeMap::from([("branch".to_owned(), "main".to_owned())])
}

pub(super) fn run() -> WorkspaceRun {
    WorkspaceRun {
        id: example_id!("wsr"),
        org_id: example_id!("org"),
        project_id: example_id!("prj"),
        status: RunStatus::Succeeded,
        command: "make test".to_owned(),
        keep_sandbox: false,
        metadata: metadata(),
        template_id: example_id!("tpl"),
        template_slug: "python-node".to_owned(),
        template_version: "1".to_owned(),
        template_version_id: example_id!("tplv"),
        template_digest: Some(format!("sha256:{}", "5f".repeat(32))),
        created_at: at(0),
        archive: Some(archive()),
        artifacts: Some(artifacts()),
        batch_id: None,
        env_keys: Some(vec!["NPM_TOKEN".to_owned()]),
        network: Some(RunNetwork::Egress),
        source_metadata: None,
        timeout_ms: Some(600_000),
        uploaded_at: Some(at(120)),
        result: RunResult {
            artifact_ids: Some(vec![example_id!("art")]),
            cleanup_status: Some(CleanupStatus::Succeeded),
            duration_ms: Some(4_210),
            evidence_available: Some(true),
            exit_code: Some(0),
            finished_at: Some(at(4_640)),
            orchestration_succeeded: Some(true),
            started_at: Some(at(390)),
            tests: tests().map(|tests| tests.counts),
            ..RunResult::default()
        },
    }
}

pub(crate) fn run_answer() -> Value {
    written(RunAnswer { workspace_run: run() })
}

pub(crate) fn runs() -> Value {
    written(list(run()))
}

pub(crate) fn events() -> Value {
    let event = |seq, millis, kind| Event { seq, created_at: at(millis), kind };
    written(EventPage {
        data: vec![
            event(5, 390, EventKind::Status { status: RunStatus::Running }),
            event(6, 402, EventKind::Stdout(Output::from_bytes(b"all tests passed\n"))),
        ],
        has_more: true,
        next_seq: Some(6),
    })
}
