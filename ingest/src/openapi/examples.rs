//! One story told in examples: a run of `make test`, from its creation to its evidence.

use std::collections::BTreeMap;

use schemas::Timestamp;
use schemas::api::archive::{
    Archive, ArchiveAnswer, DeclaredArchive, FinalizeArchive, Transfer, TransferAnswer, TransferStatus,
};
use schemas::api::artifact::{Artifact, ArtifactAnswer, DownloadUrl};
use schemas::api::jwks::{Jwk, JwkSet};
use schemas::api::key::{ApiKey, ApiKeyAnswer};
use schemas::api::list::{EventPage, List};
use schemas::api::project::{CreateProject, Project, ProjectAnswer};
use schemas::api::run::{ArtifactRequest, CreateRun, RunAnswer, RunResult, WorkspaceRun};
use schemas::api::template::{OfferedTemplate, OfferedVersion, TemplateAnswer};
use schemas::api::usage::{Credits, Period, UsageSummary, Used};
use schemas::api::webhook::{
    CreateWebhook, CreatedWebhook, Delivery, DeliveryAnswer, DeliveryStatus, Webhook, WebhookAnswer,
};
use schemas::egress::RunNetwork;
use schemas::event::{Event, EventKind, Output};
use schemas::run::{CleanupStatus, RunStatus};
use schemas::scope::Scope;
use schemas::test_report::{ReportFormat, TestCounts, TestReport, TestSummary};
use serde::Serialize;
use serde_json::{Value, json};

const SHA256: &str = "7f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d677284addd200126d9069";
const SIZE: u64 = 48_211;
const URL: &str = "https://crownest.example";

fn written(example: impl Serialize) -> Value {
    serde_json::to_value(example).unwrap_or_default()
}

/// Milliseconds after the story's beginning.
fn at(millis: u64) -> Timestamp {
    let begin = "2026-01-31T12:00:00.000Z".parse::<Timestamp>();
    begin.map_or_else(|_| Timestamp::now(), |begin| begin.plus_millis(millis))
}

/// Identifiers with the right prefix and a suffix that reads as one.
macro_rules! example_id {
    ($prefix:literal) => {
        concat!($prefix, "_01m89bpm1vtth71tw1q0yf5swh").to_owned().try_into().unwrap_or_else(|_| unreachable!())
    };
}

pub(super) fn declared_archive() -> Value {
    written(DeclaredArchive { sha256: SHA256.to_owned(), size_bytes: SIZE })
}

pub(super) fn finalize_archive() -> Value {
    written(FinalizeArchive { sha256: SHA256.to_owned(), size_bytes: SIZE, upload_id: example_id!("upl") })
}

pub(super) fn create_run() -> Value {
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

fn archive() -> Archive {
    Archive { sha256: SHA256.to_owned(), size_bytes: SIZE, uploaded_at: Some(at(120)) }
}

fn run() -> WorkspaceRun {
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

pub(super) fn run_answer() -> Value {
    written(RunAnswer { workspace_run: run() })
}

pub(super) fn archive_answer() -> Value {
    let mut run = run();
    (run.status, run.result) = (RunStatus::ArchiveUploaded, RunResult::default());
    written(ArchiveAnswer { archive: archive(), workspace_run: run })
}

pub(super) fn transfer_answer() -> Value {
    written(TransferAnswer {
        transfer: Transfer {
            id: example_id!("upl"),
            checksum_algorithm: "sha256".to_owned(),
            expires_at: at(24 * 3_600_000),
            headers: BTreeMap::from([("content-type".to_owned(), "application/gzip".to_owned())]),
            max_size_bytes: 5 << 30,
            method: "PUT".to_owned(),
            status: TransferStatus::Pending,
            upload_url: format!("{URL}/v1/uploads/upl_01m89bpm1vtth71tw1q0yf5swh"),
            workspace_run_id: example_id!("wsr"),
        },
    })
}

fn list<T>(entry: T) -> List<T> {
    List { data: vec![entry], has_more: false, next_cursor: None }
}

pub(super) fn runs() -> Value {
    written(list(run()))
}

pub(super) fn events() -> Value {
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

/// The key of RFC 8410 section 10.1.
const PUBLIC_KEY: [u8; 32] = [
    0x19, 0xbf, 0x44, 0x09, 0x69, 0x84, 0xcd, 0xfe, 0x85, 0x41, 0xba, 0xc1, 0x67, 0xdc, 0x3b, 0x96, 0xc8, 0x50, 0x86,
    0xaa, 0x30, 0xb6, 0xb6, 0xcb, 0x0c, 0x5c, 0x38, 0xad, 0x70, 0x31, 0x66, 0xe1,
];

pub(super) fn jwks() -> Value {
    written(JwkSet { keys: vec![Jwk::ed25519(&PUBLIC_KEY)] })
}

pub(super) fn inclusion_answer() -> Value {
    json!({ "inclusion": {
        "logOrigin": "crownest.example/tlog",
        "checkpoint": "crownest.example/tlog\n2\nTklA45bCJ5sPDyvQoSA2f04twLT1ViM0OeSMjmmYaRY=\n\n\u{2014} crownest.example/tlog \
            CU0VtWn7DGrO9ATOPAEBDHFUPrNfD56yYsd2IRq0hdKh7bk2pMKFoeog9pWBz8M07l2jsMFMhHE31s14xbqVwV9RaQg=\n",
        "leafIndex": 1,
        "treeSize": 2,
        "entry": {
            "evidenceSha256": SHA256,
            "runSha256": "4bd23027e655e6e157dbe5d4da516b02484f64fa4ea5b84149807e2ba3cd0dd9",
            "sealedAt": at(9_000),
        },
        "hashes": ["0".repeat(64)],
    } })
}

pub(super) fn attestations() -> Value {
    json!({ "data": [{
        "predicateType": schemas::attestation::predicate::RUN_EVIDENCE,
        "objectKey": format!("runs/org=org_1/project=prj_1/date=2026-11-02/run={}/attestation.dsse.json", run().id),
        "envelope": {
            "payload": "eyJfdHlwZSI6Imh0dHBzOi8vaW4tdG90by5pby9TdGF0ZW1lbnQvdjEifQ==",
            "payloadType": schemas::attestation::dsse::PAYLOAD_TYPE,
            "signatures": [{ "keyid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", "sig": "MEUCIQ==" }],
        },
    }] })
}

pub(super) fn evidence_answer() -> Value {
    let run = run();
    let completeness = json!({
        "complete": true, "gaps": [], "lostAttempts": [], "bytesDropped": 0, "truncatedStreams": [],
        "redactions": 0, "stdoutBytes": 17, "stderrBytes": 0,
        "stdout": {"bytesTotal": 17, "bytesStored": 17, "bytesDropped": 0, "truncated": false},
        "stderr": {"bytesTotal": 0, "bytesStored": 0, "bytesDropped": 0, "truncated": false},
    });
    json!({ "evidence": {
        "schemaVersion": schemas::evidence::SCHEMA_VERSION,
        "workspaceRunId": run.id, "orgId": run.org_id, "projectId": run.project_id,
        "status": "succeeded", "outcome": "success", "outcomeSource": "executor",
        "command": run.command, "createdAt": run.created_at, "metadata": run.metadata, "envKeys": run.env_keys.unwrap_or_default(),
        "archive": archive(), "artifactIds": [artifact().id], "artifactErrors": [],
        "cleanupStatus": "succeeded", "orchestrationSucceeded": true,
        "exitCode": 0, "durationMs": 4_210, "startedAt": at(390), "finishedAt": at(4_600), "timeoutMs": 600_000,
        "attempts": [{
            "attempt": 1, "executorId": "exe_01m89bpm1vtth71tw1q0yf5swh", "sandboxId": artifact().sandbox_id,
            "commandId": "cmd_01m89bpm1vtth71tw1q0yf5swh", "claimedAt": at(200), "endedAt": at(4_620),
            "ended": "exited", "exitCode": 0, "oomKilled": false,
        }],
        "timing": {
            "queuedAt": at(150), "claimedAt": at(200), "fetchedAt": at(260), "extractedAt": at(350),
            "startedAt": at(390), "finishedAt": at(4_600), "collectedAt": at(4_610), "sealedAt": at(4_640),
        },
        "resources": {},
        "template": {
            "id": run.template_id, "slug": "python-node", "version": "1", "versionId": run.template_version_id,
        },
        "artifacts": [{
            "id": artifact().id, "path": "reports/junit.xml", "name": "junit.xml", "sizeBytes": 9_120,
            "sha256": SHA256, "contentType": "text/xml", "objectKey": artifact().object_key,
        }],
        "eventLog": {
            "firstSeq": 1, "lastSeq": 9, "count": 9, "merkleRoot": SHA256,
            "parts": [{
                "objectKey": "runs/org=org_…/project=prj_…/date=2026-01-31/run=wsr_…/events-00000.ndjson.zst",
                "sizeBytes": 1_310, "sha256": SHA256, "firstSeq": 1, "lastSeq": 9, "indexOffset": 1_040,
            }],
        },
        "completeness": completeness,
        "egress": egress(),
        "tests": tests(),
        "usage": { "computeUnitMillis": 4_420, "artifactBytesStored": 9_120 },
    } })
}

fn tests() -> Option<TestSummary> {
    let counts = TestCounts { total: 128, passed: 126, skipped: 2, duration_ms: 3_870, ..TestCounts::default() };
    TestSummary::of(&[TestReport { artifact_id: example_id!("art"), format: ReportFormat::Junit, counts }])
}

fn egress() -> Value {
    json!({
        "allow": ["registry.npmjs.org", "*.example.org:8443"],
        "attempts": [{
            "host": "registry.npmjs.org", "port": 443, "allowed": true, "count": 3, "bytesSent": 2_310,
            "bytesReceived": 81_920, "firstAt": at(1_200),
        }, {
            "host": "telemetry.example.com", "port": 443, "allowed": false, "reason": "host_not_allowed", "count": 1,
            "bytesSent": 0, "bytesReceived": 0, "firstAt": at(1_300),
        }],
        "attemptsNotListed": 0,
    })
}

fn artifact() -> Artifact {
    Artifact {
        id: example_id!("art"),
        org_id: example_id!("org"),
        project_id: example_id!("prj"),
        sandbox_id: example_id!("sbx"),
        workspace_run_id: example_id!("wsr"),
        name: "junit.xml".to_owned(),
        object_key: "runs/org=org_…/project=prj_…/date=2026-01-31/run=wsr_…/artifacts/art_…/junit.xml".to_owned(),
        size_bytes: 9_120,
        sha256: SHA256.to_owned(),
        created_at: at(4_600),
        content_type: Some("text/xml".to_owned()),
        source_path: Some("reports/junit.xml".to_owned()),
        deleted_at: None,
        retention_expires_at: Some(at(30 * 86_400_000)),
        deletion_reason: None,
    }
}

pub(super) fn artifacts_of_sandbox() -> Value {
    written(list(artifact()))
}

pub(super) fn artifact_answer() -> Value {
    written(ArtifactAnswer { artifact: artifact() })
}

pub(super) fn download_url() -> Value {
    written(DownloadUrl {
        auth_mode: "api_key".to_owned(),
        headers: BTreeMap::new(),
        method: "GET".to_owned(),
        url: format!("{URL}/v1/artifacts/art_01m89bpm1vtth71tw1q0yf5swh/download"),
    })
}

fn project() -> Project {
    Project { id: example_id!("prj"), org_id: example_id!("org"), name: "Default".to_owned(), created_at: at(0) }
}

pub(super) fn create_project() -> Value {
    written(CreateProject { name: "Nightly".to_owned() })
}

pub(super) fn project_answer() -> Value {
    written(ProjectAnswer { project: project() })
}

pub(super) fn projects() -> Value {
    written(list(project()))
}

fn template() -> OfferedTemplate {
    let run = run();
    let version = OfferedVersion {
        id: run.template_version_id,
        version: run.template_version,
        digest: run.template_digest,
        is_current: true,
        created_at: at(0),
    };
    OfferedTemplate {
        id: run.template_id,
        slug: run.template_slug,
        is_default: true,
        created_at: at(0),
        current_version_id: Some(version.id.clone()),
        versions: vec![version],
    }
}

pub(super) fn template_answer() -> Value {
    written(TemplateAnswer { template: template() })
}

pub(super) fn templates() -> Value {
    written(list(template()))
}

fn api_key() -> ApiKey {
    ApiKey {
        id: example_id!("key"),
        org_id: example_id!("org"),
        name: "ci".to_owned(),
        prefix: "cn_live_4f9a".to_owned(),
        last4: "x7Qp".to_owned(),
        project_ids: None,
        scopes: vec![Scope::WorkspaceRunCreate, Scope::WorkspaceRunRead],
        created_by_user_id: example_id!("usr"),
        created_at: at(0),
        revoked_at: None,
        last_used_at: Some(at(4_000)),
    }
}

pub(super) fn api_key_answer() -> Value {
    written(ApiKeyAnswer { api_key: api_key() })
}

pub(super) fn api_keys() -> Value {
    written(list(api_key()))
}

pub(super) fn usage() -> Value {
    let (month, next) = (at(0), at(28 * 86_400_000));
    written(UsageSummary {
        period: Period { start: month, end: next, reset_at: next },
        pricing_version: "2026-01".to_owned(),
        compute_unit_seconds_per_credit: 1000.0,
        currency_per_credit: 0.0,
        compute_unit_seconds: Used { used: 4.21 },
        credits: Credits { used: 0.004_21, remaining: None },
        quotas: BTreeMap::new(),
        events: Some(BTreeMap::from([("command_invocations".to_owned(), 1.0)])),
    })
}

fn webhook() -> Webhook {
    Webhook {
        id: example_id!("whk"),
        org_id: example_id!("org"),
        project_id: None,
        url: "https://ci.example.com/crownest".to_owned(),
        created_at: at(0),
        disabled_at: None,
    }
}

pub(super) fn create_webhook() -> Value {
    written(CreateWebhook { url: webhook().url, project_id: None })
}

pub(super) fn created_webhook() -> Value {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned();
    written(CreatedWebhook { webhook: webhook(), secret })
}

pub(super) fn webhook_answer() -> Value {
    written(WebhookAnswer { webhook: webhook() })
}

pub(super) fn webhooks() -> Value {
    written(list(webhook()))
}

fn delivery() -> Delivery {
    Delivery {
        id: example_id!("whd"),
        webhook_id: example_id!("whk"),
        workspace_run_id: example_id!("wsr"),
        kind: "workspace_run.ended".to_owned(),
        status: DeliveryStatus::Delivered,
        attempts: 1,
        created_at: at(4_650),
        last_attempt_at: Some(at(5_000)),
        next_attempt_at: None,
        response_status: Some(204),
        error: None,
    }
}

pub(super) fn delivery_answer() -> Value {
    written(DeliveryAnswer { delivery: delivery() })
}

pub(super) fn deliveries() -> Value {
    written(list(delivery()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::api::inclusion::InclusionAnswer;
    use schemas::evidence::EvidenceAnswer;
    use schemas::transparency::inclusion::Logged;

    #[test]
    fn the_proof_of_inclusion_is_one() {
        let answer: InclusionAnswer = serde_json::from_value(inclusion_answer()).unwrap();
        let run = run().id;
        let bundle = Logged { run: &run, evidence_sha256: SHA256, attestation_sha256: None, sealed_at: at(9_000) };
        answer.inclusion.verify(&bundle, &[PUBLIC_KEY]).unwrap();
    }

    #[test]
    fn the_evidence_is_what_its_type_says() {
        let evidence: EvidenceAnswer = serde_json::from_value(evidence_answer()).unwrap();
        assert_eq!(evidence.evidence.artifact_ids.len(), 1);
    }
}
