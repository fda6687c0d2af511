//! The facts about one attempt, gathered while it goes on and reported at its end.

use sandbox::DiskUsage;
use schemas::Timestamp;
use schemas::artifact::ArtifactError;
use schemas::cut::cut;
use schemas::egress::EgressReport;
use schemas::limits::SENTENCE_BYTES;
use schemas::message::{CollectedArtifact, Finished, Limits, PhaseTimes, Resources, Room, StreamTotals, Verdict};
use schemas::run::CleanupStatus;
use schemas::test_report::TestReport;

use super::Attempt;

#[derive(Debug)]
pub(super) struct Record {
    pub times: PhaseTimes,
    pub message: Option<String>,
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    pub oom_killed: bool,
    pub disk: Option<DiskUsage>,
    pub cleanup: CleanupStatus,
    pub resources: Resources,
    pub streams: StreamTotals,
    pub redactions: u64,
    pub truncated_streams: Vec<String>,
    pub artifacts: Vec<CollectedArtifact>,
    artifact_errors: Vec<ArtifactError>,
    pub test_reports: Vec<TestReport>,
    pub egress: Option<EgressReport>,
    /// Room for names in the report.
    pub room: Room,
}

impl Record {
    pub(super) fn new(claimed_at: Timestamp) -> Self {
        Self {
            times: PhaseTimes {
                claimed_at,
                fetched_at: None,
                extracted_at: None,
                started_at: None,
                finished_at: None,
                collected_at: None,
                ended_at: claimed_at,
                command_ms: None,
                sandbox_ms: 0,
            },
            message: None,
            exit_code: None,
            signal: None,
            oom_killed: false,
            disk: None,
            cleanup: CleanupStatus::NotRequested,
            resources: Resources::default(),
            streams: StreamTotals::default(),
            redactions: 0,
            truncated_streams: Vec::new(),
            artifacts: Vec::new(),
            artifact_errors: Vec::new(),
            test_reports: Vec::new(),
            egress: None,
            room: Room::default(),
        }
    }

    pub(super) fn artifact_error(&mut self, error: ArtifactError) {
        if self.room.take_error(&error) {
            self.artifact_errors.push(error);
        }
    }

    /// The report of the attempt.
    pub(super) fn into_finished(mut self, attempt: &Attempt<'_>, verdict: Verdict) -> Finished {
        let limits = attempt.context.limits;
        self.artifact_errors.extend(self.room.into_last_error());
        Finished {
            executor_id: attempt.context.id.clone(),
            sandbox_id: attempt.sandbox_id.clone(),
            command_id: attempt.command_id.clone(),
            verdict,
            message: self.message.map(|message| cut(&message, SENTENCE_BYTES)),
            exit_code: self.exit_code,
            signal: self.signal,
            oom_killed: self.oom_killed,
            cleanup: self.cleanup,
            times: self.times,
            resources: self.resources,
            limits: Limits {
                memory_bytes: limits.memory_bytes,
                pids: u64::from(limits.pids),
                cpu_millis: Some(u64::from(limits.cpu_millis)),
                disk_bytes: attempt.context.disk_bytes,
                timeout_ms: attempt.job.timeout_ms,
                artifacts: Some(attempt.artifact_limits()),
            },
            streams: self.streams,
            redactions: self.redactions,
            truncated_streams: self.truncated_streams,
            artifacts: self.artifacts,
            artifact_errors: self.artifact_errors,
            test_reports: self.test_reports,
            egress: self.egress,
        }
    }
}
