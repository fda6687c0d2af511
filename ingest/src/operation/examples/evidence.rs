//! Examples of evidence, what is signed about it, and its place in the log.

use schemas::attestation::jwks::{Jwk, JwkSet};
use schemas::test_report::{ReportFormat, TestCounts, TestReport, TestSummary};
use serde_json::{Value, json};

use super::archives::archive;
use super::artifacts::artifact;
use super::runs::run;
use super::{SHA256, at, example_id, written};

/// The key of RFC 8410 section 10.1.
const PUBLIC_KEY: [u8; 32] = [
    0x19, 0xbf, 0x44, 0x09, 0x69, 0x84, 0xcd, 0xfe, 0x85, 0x41, 0xba, 0xc1, 0x67, 0xdc, 0x3b, 0x96, 0xc8, 0x50, 0x86,
    0xaa, 0x30, 0xb6, 0xb6, 0xcb, 0x0c, 0x5c, 0x38, 0xad, 0x70, 0x31, 0x66, 0xe1,
];

pub(crate) fn jwks() -> Value {
    written(JwkSet { keys: vec![Jwk::ed25519(&PUBLIC_KEY)] })
}

pub(crate) fn inclusion_answer() -> Value {
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

pub(crate) fn attestations() -> Value {
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

pub(crate) fn evidence_answer() -> Value {
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

pub(super) fn tests() -> Option<TestSummary> {
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
