//! Assembles the Evidence Bundle of one run from its facts. Pure: the same facts give the same bytes.

use schemas::evidence::{
    Attempt, Completeness, EventLog, EventLogPart, EvidenceArtifact, EvidenceBundle, ResourceReport, SCHEMA_VERSION,
    StreamReport, Template, Timing, Usage,
};
use schemas::merkle::{self, Hash};
use schemas::message::{AttemptEnd, Finished, RootFs, RunEnd};
use schemas::test_report::TestSummary;

use super::case::Case;
use super::ending::attempt_end;
use super::usage;

pub(super) fn assemble(case: &Case, last_part: &EventLogPart, last_leaves: &[Hash]) -> EvidenceBundle {
    let (row, ending) = (&case.row, &case.ending);
    let finished = match &case.decision.end {
        RunEnd::Finished(finished) => Some(finished.as_ref()),
        RunEnd::Abandoned { .. } => None,
    };
    let attempts = attempts(case, finished);
    let result = ending.result.clone();
    EvidenceBundle {
        schema_version: SCHEMA_VERSION.to_owned(),
        workspace_run_id: row.id.clone(),
        org_id: row.org_id.clone(),
        project_id: row.project_id.clone(),
        status: ending.status,
        outcome: ending.outcome,
        outcome_source: ending.source,
        outcome_message: ending.message.clone(),
        command: row.command.clone(),
        created_at: row.created_at,
        metadata: row.metadata.clone(),
        env_keys: row.env_keys.clone(),
        artifact_ids: result.artifact_ids.unwrap_or_default(),
        artifact_errors: result.artifact_errors.unwrap_or_default(),
        cleanup_status: ending.cleanup,
        orchestration_succeeded: ending.orchestration_succeeded,
        archive: row.archive(),
        command_id: result.command_id,
        duration_ms: result.duration_ms,
        exit_code: result.exit_code,
        failure_class: result.failure_class,
        failure_reason: result.failure_reason,
        finished_at: result.finished_at,
        sandbox_id: result.sandbox_id,
        source_metadata: row.source_metadata.clone(),
        started_at: result.started_at,
        timeout_ms: Some(row.timeout_ms),
        timing: timing(case, finished),
        resources: ResourceReport {
            used: finished.map(|finished| finished.resources.clone()).unwrap_or_default(),
            limits: finished.map(|finished| finished.limits.clone()),
        },
        template: Template {
            id: row.template_id.clone(),
            slug: row.template_slug.clone(),
            version: row.template_version.clone(),
            version_id: row.template_version_id.clone(),
            digest: row.template_root_fs.as_ref().map(RootFs::digest),
        },
        artifacts: finished.map(artifacts).unwrap_or_default(),
        event_log: event_log(case, last_part, last_leaves),
        completeness: completeness(case, finished, &attempts),
        egress: finished.and_then(|finished| finished.egress.clone()),
        tests: finished.and_then(|finished| TestSummary::of(&finished.test_reports)),
        usage: Usage {
            compute_unit_millis: usage::compute_unit_millis(&case.decision.end),
            artifact_bytes_stored: usage::artifact_bytes(&case.decision.end),
        },
        attempts,
    }
}

/// One entry for each claim. The attempt that reported the ending has its facts; all other attempts were lost.
fn attempts(case: &Case, finished: Option<&Finished>) -> Vec<Attempt> {
    let attempts = case.attempts.iter().map(|row| {
        let reporter = finished.filter(|_| row.attempt == case.decision.attempt);
        Attempt {
            attempt: row.attempt,
            executor_id: row.executor_id.clone(),
            sandbox_id: row.sandbox_id.clone(),
            command_id: row.command_id.clone(),
            claimed_at: row.claimed_at,
            ended_at: Some(reporter.map_or(row.lost_at.unwrap_or(case.decision.decided_at), |f| f.times.ended_at)),
            ended: reporter.map_or(AttemptEnd::Lost, |finished| attempt_end(&finished.verdict)),
            exit_code: reporter.and_then(|finished| finished.exit_code),
            signal: reporter.and_then(|finished| finished.signal),
            oom_killed: reporter.map(|finished| finished.oom_killed),
        }
    });
    attempts.collect()
}

fn timing(case: &Case, finished: Option<&Finished>) -> Timing {
    let times = finished.map(|finished| &finished.times);
    Timing {
        queued_at: case.row.queued_at,
        claimed_at: times.map(|times| times.claimed_at),
        fetched_at: times.and_then(|times| times.fetched_at),
        extracted_at: times.and_then(|times| times.extracted_at),
        started_at: times.and_then(|times| times.started_at),
        finished_at: times.and_then(|times| times.finished_at),
        collected_at: times.and_then(|times| times.collected_at),
        sealed_at: case.decision.decided_at,
    }
}

fn artifacts(finished: &Finished) -> Vec<EvidenceArtifact> {
    let artifacts = finished.artifacts.iter().map(|artifact| EvidenceArtifact {
        id: artifact.id.clone(),
        path: artifact.path.clone(),
        name: artifact.name.clone(),
        size_bytes: artifact.size_bytes,
        sha256: artifact.sha256.clone(),
        content_type: artifact.content_type.clone(),
        object_key: artifact.object_key.clone(),
    });
    artifacts.collect()
}

fn event_log(case: &Case, last_part: &EventLogPart, last_leaves: &[Hash]) -> EventLog {
    let mut parts: Vec<EventLogPart> = case.parts.iter().map(|stored| stored.part.clone()).collect();
    let mut leaves: Vec<Hash> = case.parts.iter().flat_map(|stored| stored.leaves.iter().copied()).collect();
    parts.push(last_part.clone());
    leaves.extend_from_slice(last_leaves);
    let first_seq = parts.first().map_or(last_part.first_seq, |part| part.first_seq);
    let missing: u64 = case.gaps.iter().map(|gap| gap.last_seq - gap.first_seq + 1).sum();
    EventLog {
        first_seq,
        last_seq: last_part.last_seq,
        // Numbers begin at 1, and every gap is known.
        count: last_part.last_seq - missing,
        parts,
        merkle_root: hex::encode(merkle::root(&leaves)),
    }
}

fn completeness(case: &Case, finished: Option<&Finished>, attempts: &[Attempt]) -> Completeness {
    let lost = attempts.iter().filter(|attempt| attempt.ended == AttemptEnd::Lost).map(|attempt| attempt.attempt);
    let lost_attempts: Vec<u32> = lost.collect();
    let truncated_streams = finished.map(|finished| finished.truncated_streams.clone()).unwrap_or_default();
    let streams = finished.map(|finished| finished.streams.clone()).unwrap_or_default();
    let report = |name: &str, bytes_total: u64, bytes_dropped: u64| StreamReport {
        bytes_total,
        bytes_stored: bytes_total.saturating_sub(bytes_dropped),
        bytes_dropped,
        truncated: truncated_streams.iter().any(|stream| stream == name),
    };
    let stdout = report("stdout", streams.stdout_bytes, streams.stdout_bytes_dropped);
    let stderr = report("stderr", streams.stderr_bytes, streams.stderr_bytes_dropped);
    Completeness {
        complete: case.gaps.is_empty() && lost_attempts.is_empty() && truncated_streams.is_empty(),
        gaps: case.gaps.clone(),
        lost_attempts,
        bytes_dropped: stdout.bytes_dropped + stderr.bytes_dropped,
        truncated_streams,
        redactions: finished.map_or(0, |finished| finished.redactions),
        stdout_bytes: stdout.bytes_total,
        stderr_bytes: stderr.bytes_total,
        stdout,
        stderr,
    }
}
