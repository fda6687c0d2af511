//! `usage`: the metered usage of runs, in the events that metering receives.

use super::table::row;
use crate::Timestamp;
use crate::evidence::EvidenceBundle;
use crate::message::AttemptEnd;
use crate::message::usage::{UsageData, UsageEvent, quantities};

row! {
    UsageRow: "usage", "A usage event: one meter of one run.", key ["usage_event_id"] {
        workspace_run_id: String = "Id of the run.",
        usage_event_id: String = "Id of the event, `<run>/<attempt>/<meter>`, as in the ledger.",
        org_id: String = "Organization: the tenant.",
        project_id: String = "Project of the organization.",
        meter: String = "What is counted, such as `compute_unit_seconds`.",
        quantity_millis: u64 = "How much, in thousandths of the meter's unit.",
        metered_at: Timestamp = "When the outcome was fixed.",
    }
}

impl UsageRow {
    pub fn of(bundle: &EvidenceBundle) -> Vec<Self> {
        // The attempt that reported the ending; all others were lost and cost nothing.
        let Some(reporter) = bundle.attempts.iter().find(|attempt| attempt.ended != AttemptEnd::Lost) else {
            return Vec::new();
        };
        let (run, at, usage) = (&bundle.workspace_run_id, bundle.timing.sealed_at, &bundle.usage);
        let started = bundle.timing.started_at.is_some();
        let metered = quantities(usage.compute_unit_millis, started, usage.artifact_bytes_stored);
        let rows = metered.into_iter().map(|(meter, quantity_millis)| {
            let (org_id, project_id) = (bundle.org_id.clone(), bundle.project_id.clone());
            let event =
                UsageEvent::new(run, reporter.attempt, at, UsageData { org_id, project_id, meter, quantity_millis });
            Self {
                workspace_run_id: run.to_string(),
                usage_event_id: event.id,
                org_id: event.data.org_id.to_string(),
                project_id: event.data.project_id.to_string(),
                meter: meter.to_string(),
                quantity_millis,
                metered_at: at,
            }
        });
        rows.collect()
    }
}
