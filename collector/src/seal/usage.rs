//! The metered usage of a sealed run. A lost attempt costs nothing: the platform failed.

use schemas::message::usage::{self, Meter, UsageBatch, UsageData, UsageEvent};
use schemas::message::{EncodeError, RunEnd, encode_json};

use super::case::Case;

pub(super) fn message(case: &Case) -> Result<Vec<u8>, EncodeError> {
    let (run, attempt, at) = (&case.row.id, case.decision.attempt, case.decision.decided_at);
    let events = quantities(&case.decision.end).into_iter().map(|(meter, quantity_millis)| {
        let (org_id, project_id) = (case.row.org_id.clone(), case.row.project_id.clone());
        UsageEvent::new(run, attempt, at, UsageData { org_id, project_id, meter, quantity_millis })
    });
    encode_json(&UsageBatch { run_id: run.clone(), events: events.collect() })
}

fn quantities(end: &RunEnd) -> Vec<(Meter, u64)> {
    let RunEnd::Finished(finished) = end else { return Vec::new() };
    usage::quantities(compute_unit_millis(end), finished.times.started_at.is_some(), artifact_bytes(end))
}

pub(super) fn artifact_bytes(end: &RunEnd) -> u64 {
    match end {
        RunEnd::Finished(finished) => finished.artifacts.iter().map(|artifact| artifact.size_bytes).sum(),
        RunEnd::Abandoned { .. } => 0,
    }
}

pub(super) fn compute_unit_millis(end: &RunEnd) -> u64 {
    match end {
        RunEnd::Finished(finished) => finished.times.sandbox_ms,
        RunEnd::Abandoned { .. } => 0,
    }
}
