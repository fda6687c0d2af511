//! Usage events on `crownest.usage`: CloudEvents 1.0 in the JSON batch format, one batch for each ended run.
//! The id `<run>/<attempt>/<meter>` makes counting exactly once possible.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::id::{OrgId, ProjectId, RunId};
use crate::word::word_enum;

pub const CONTENT_TYPE: &str = "application/cloudevents-batch+json";
pub const EVENT_TYPE: &str = "dev.crownest.usage.v1";

word_enum! {
    /// Meters; their names are those in `UsageSummary`.
    Meter: "a meter such as compute_unit_seconds" {
        ArtifactBytesStored = "artifact_bytes_stored",
        CodeRunInvocations = "code_run_invocations",
        CommandInvocations = "command_invocations",
        ComputeUnitSeconds = "compute_unit_seconds",
        FileBytesWritten = "file_bytes_written",
        PreviewMinutes = "preview_minutes",
        SandboxCreates = "sandbox_creates",
    }
}

/// A CloudEvent about one meter of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageEvent {
    pub specversion: String,
    pub id: String,
    pub source: String,
    #[serde(rename = "type")]
    pub event_type: String,
    pub subject: RunId,
    pub time: Timestamp,
    pub data: UsageData,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageData {
    pub org_id: OrgId,
    pub project_id: ProjectId,
    pub meter: Meter,
    /// Quantity in thousandths of the meter's unit, so that fractions of a second are exact integers.
    pub quantity_millis: u64,
}

impl UsageEvent {
    pub fn new(run: &RunId, attempt: u32, time: Timestamp, data: UsageData) -> Self {
        Self {
            specversion: "1.0".to_owned(),
            id: format!("{run}/{attempt}/{}", data.meter),
            source: "/crownest/collector".to_owned(),
            event_type: EVENT_TYPE.to_owned(),
            subject: run.clone(),
            time,
            data,
        }
    }
}

/// One unit of a meter, in thousandths.
const ONE: u64 = 1_000;

/// Metered quantities of an attempt that ended. One compute unit second is one second of a sandbox of the base size.
pub fn quantities(compute_unit_millis: u64, started: bool, artifact_bytes: u64) -> Vec<(Meter, u64)> {
    let mut quantities = vec![(Meter::ComputeUnitSeconds, compute_unit_millis)];
    if started {
        quantities.push((Meter::SandboxCreates, ONE));
        quantities.push((Meter::CommandInvocations, ONE));
    }
    if artifact_bytes > 0 {
        quantities.push((Meter::ArtifactBytesStored, artifact_bytes.saturating_mul(ONE)));
    }
    quantities
}

/// Message body: the usage events of a run that is over. The message frees the run's slot even if nothing was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageBatch {
    pub run_id: RunId,
    pub events: Vec<UsageEvent>,
}
