//! Statements about a run: CrowNest's `run-evidence/v1`, SLSA provenance v1 for its artifacts, and in-toto's
//! test-result v0.1 for its tests. Pure: the same bundle gives the same statement.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::statement::{Digests, Statement, Subject, sha256_digest};
use crate::Timestamp;
use crate::artifact::ArtifactErrorCode;
use crate::evidence::EvidenceBundle;
use crate::id::{OrgId, ProjectId, RunId};
use crate::layout;
use crate::run::{Outcome, OutcomeSource, RunStatus};

/// Predicate types are names, not addresses: no server has to answer there.
pub const RUN_EVIDENCE: &str = "https://crownest.dev/attestation/run-evidence/v1";
pub const SLSA_PROVENANCE: &str = "https://slsa.dev/provenance/v1";
pub const TEST_RESULT: &str = "https://in-toto.io/attestation/test-result/v0.1";
pub const BUILD_TYPE: &str = "https://crownest.dev/attestation/workspace-run/v1";

/// The essence of a bundle, so that a policy can decide without the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunEvidence {
    /// Schema version of the bundle.
    pub schema_version: String,
    pub workspace_run_id: RunId,
    pub org_id: OrgId,
    pub project_id: ProjectId,
    pub status: RunStatus,
    pub outcome: Outcome,
    pub outcome_source: OutcomeSource,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    pub command: String,
    pub created_at: Timestamp,
    pub sealed_at: Timestamp,
    pub attempts: u64,
    /// True if everything that happened is in the event log.
    pub complete: bool,
    pub event_log: LogSummary,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogSummary {
    pub first_seq: u64,
    pub last_seq: u64,
    pub count: u64,
    pub merkle_root: String,
}

/// States everything that a run left: the bundle (`evidence_sha256` is of the sealed bytes), its event log and its
/// artifacts; and the archive that the run was given.
pub fn run_evidence(bundle: &EvidenceBundle, evidence_key: &str, evidence_sha256: &str) -> Statement<RunEvidence> {
    let mut subjects = vec![Subject::new(evidence_key, evidence_sha256)];
    subjects.extend(bundle.event_log.parts.iter().map(|part| Subject::new(&part.object_key, &part.sha256)));
    subjects.extend(artifacts(bundle));
    subjects.extend(
        bundle
            .archive
            .iter()
            .map(|archive| Subject::new(&layout::archive(&bundle.org_id, &archive.sha256), &archive.sha256)),
    );
    let log = &bundle.event_log;
    let predicate = RunEvidence {
        schema_version: bundle.schema_version.clone(),
        workspace_run_id: bundle.workspace_run_id.clone(),
        org_id: bundle.org_id.clone(),
        project_id: bundle.project_id.clone(),
        status: bundle.status,
        outcome: bundle.outcome,
        outcome_source: bundle.outcome_source,
        exit_code: bundle.exit_code,
        command: bundle.command.clone(),
        created_at: bundle.created_at,
        sealed_at: bundle.timing.sealed_at,
        attempts: bundle.attempts.len() as u64,
        complete: bundle.completeness.complete,
        event_log: LogSummary {
            first_seq: log.first_seq,
            last_seq: log.last_seq,
            count: log.count,
            merkle_root: log.merkle_root.clone(),
        },
    };
    Statement::new(RUN_EVIDENCE, subjects, predicate)
}

/// Provenance of the artifacts; `None` if there are none. A failed run may have artifacts, too.
pub fn provenance(bundle: &EvidenceBundle, builder_id: &str) -> Option<Statement<Value>> {
    let subjects: Vec<Subject> = artifacts(bundle).collect();
    if subjects.is_empty() {
        return None;
    }
    let archive = bundle
        .archive
        .as_ref()
        .map(|archive| (layout::archive(&bundle.org_id, &archive.sha256), archive.sha256.as_str()));
    let template = bundle.template.digest.as_deref().and_then(|digest| digest.strip_prefix("sha256:"));
    let template =
        template.map(|sha256| (format!("template:{}@{}", bundle.template.slug, bundle.template.version), sha256));
    let dependencies: Vec<Value> = [archive, template]
        .into_iter()
        .flatten()
        .map(|(uri, sha256)| {
            let digest: Digests = sha256_digest(sha256);
            json!({ "uri": uri, "digest": digest })
        })
        .collect();
    let mut metadata = BTreeMap::from([("invocationId", json!(bundle.workspace_run_id))]);
    metadata.extend(bundle.started_at.map(|time| ("startedOn", json!(time))));
    metadata.extend(bundle.finished_at.map(|time| ("finishedOn", json!(time))));
    let predicate = json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "command": bundle.command,
                "template": bundle.template.slug,
                "templateVersionId": bundle.template.version_id,
                "envKeys": bundle.env_keys,
                "timeoutMs": bundle.timeout_ms,
            },
            "resolvedDependencies": dependencies,
        },
        "runDetails": { "builder": { "id": builder_id }, "metadata": metadata },
    });
    Some(Statement::new(SLSA_PROVENANCE, subjects, predicate))
}

/// Result of the test reports among the artifacts, about the archive that was tested; `None` if there are none. The
/// specification allows names of tests; the bundle has none, so the statement has none.
pub fn test_result(bundle: &EvidenceBundle, evidence_key: &str, evidence_sha256: &str) -> Option<Statement<Value>> {
    let (tests, archive) = (bundle.tests.as_ref()?, bundle.archive.as_ref()?);
    let subject = Subject::new(&layout::archive(&bundle.org_id, &archive.sha256), &archive.sha256);
    // The bundle has the command, template, limits and names of variables.
    let configuration = Subject::new(evidence_key, evidence_sha256);
    let unreadable = bundle.artifact_errors.iter().any(|error| error.code == ArtifactErrorCode::TestReportInvalid);
    let counts = &tests.counts;
    let result = if counts.failed + counts.errors > 0 || bundle.outcome != Outcome::Success {
        "FAILED"
    } else if counts.flaky > 0 || counts.total == 0 || unreadable {
        "WARNED"
    } else {
        "PASSED"
    };
    let predicate = json!({ "result": result, "configuration": [configuration] });
    Some(Statement::new(TEST_RESULT, vec![subject], predicate))
}

fn artifacts(bundle: &EvidenceBundle) -> impl Iterator<Item = Subject> {
    bundle.artifacts.iter().map(|artifact| Subject::new(&artifact.object_key, &artifact.sha256))
}
