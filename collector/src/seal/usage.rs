//! What a sealed run is metered with. A lost attempt costs nothing: it was the platform's failure.

use schemas::message::{RunEnd, encode_json};
use schemas::usage::{Meter, UsageBatch, UsageData, UsageEvent};

use super::Case;

/// Quantities are in thousandths of the meter's unit.
const ONE: u64 = 1_000;

pub(super) fn message(case: &Case) -> serde_json::Result<Vec<u8>> {
    let (run, attempt, at) = (&case.row.id, case.decision.attempt, case.decision.decided_at);
    let events = quantities(&case.decision.end).into_iter().map(|(meter, quantity_millis)| {
        let (org_id, project_id) = (case.row.org_id.clone(), case.row.project_id.clone());
        UsageEvent::new(run, attempt, at, UsageData { org_id, project_id, meter, quantity_millis })
    });
    encode_json(&UsageBatch { run_id: run.clone(), events: events.collect() })
}

/// One compute unit second is one second of a sandbox of the base size.
fn quantities(end: &RunEnd) -> Vec<(Meter, u64)> {
    let RunEnd::Finished(finished) = end else { return Vec::new() };
    let mut quantities = vec![(Meter::ComputeUnitSeconds, finished.times.sandbox_ms)];
    if finished.times.started_at.is_some() {
        quantities.push((Meter::SandboxCreates, ONE));
        quantities.push((Meter::CommandInvocations, ONE));
    }
    let bytes = artifact_bytes(end);
    if bytes > 0 {
        quantities.push((Meter::ArtifactBytesStored, bytes.saturating_mul(ONE)));
    }
    quantities
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
