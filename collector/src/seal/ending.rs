//! The meaning of an ending: status, outcome and result follow from the facts that the executor or a watchdog reported.
//! Pure.

use schemas::Timestamp;
use schemas::api::run::RunResult;
use schemas::message::{AttemptEnd, Finished, RunEnd, Verdict};
use schemas::run::{CleanupStatus, FailureClass, FailureReason, Outcome, OutcomeSource, RunStatus};
use schemas::test_report::TestSummary;

/// The derived ending of a run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ending {
    pub status: RunStatus,
    pub outcome: Outcome,
    pub source: OutcomeSource,
    pub message: Option<String>,
    pub result: RunResult,
    pub cleanup: CleanupStatus,
    pub orchestration_succeeded: bool,
}

/// The meaning of a verdict.
struct Meaning {
    status: RunStatus,
    outcome: Outcome,
    failure_reason: Option<FailureReason>,
    failure_class: Option<FailureClass>,
    /// The platform did its part.
    orchestration_succeeded: bool,
}

impl Meaning {
    fn of(verdict: &Verdict) -> Self {
        let of = |status, outcome, orchestration_succeeded| Self {
            status,
            outcome,
            failure_reason: None,
            failure_class: None,
            orchestration_succeeded,
        };
        let failed = |reason: FailureReason, outcome, orchestration_succeeded| Self {
            failure_reason: Some(reason),
            failure_class: Some(reason.class()),
            ..of(RunStatus::Failed, outcome, orchestration_succeeded)
        };
        match verdict {
            Verdict::Exited { exit_code: 0 } => of(RunStatus::Succeeded, Outcome::Success, true),
            Verdict::Exited { .. } => failed(FailureReason::CommandExit, Outcome::Failure, true),
            Verdict::Failed { reason: FailureReason::Timeout } => {
                failed(FailureReason::Timeout, Outcome::Timeout, true)
            }
            Verdict::Failed { reason } if reason.class() == FailureClass::Platform => {
                failed(*reason, Outcome::Error, false)
            }
            Verdict::Failed { reason } => failed(*reason, Outcome::Failure, false),
            Verdict::Canceled => Self {
                failure_class: Some(FailureClass::Canceled),
                ..of(RunStatus::Canceled, Outcome::Cancellation, true)
            },
        }
    }
}

impl Ending {
    pub(super) fn of(end: &RunEnd) -> Self {
        match end {
            RunEnd::Finished(finished) => Self::finished(finished),
            RunEnd::Abandoned { reason, source, at, message } => Self::abandoned(reason, *source, *at, message.clone()),
        }
    }

    fn finished(finished: &Finished) -> Self {
        let meaning = Meaning::of(&finished.verdict);
        let source =
            if meaning.outcome == Outcome::Cancellation { OutcomeSource::User } else { OutcomeSource::Executor };
        let ids = finished.artifacts.iter().map(|artifact| artifact.id.clone()).collect();
        let result = RunResult {
            artifact_errors: Some(finished.artifact_errors.clone()),
            artifact_ids: Some(ids),
            cleanup_status: Some(finished.cleanup),
            command_id: Some(finished.command_id.clone()),
            duration_ms: finished.times.command_ms,
            evidence_available: Some(true),
            exit_code: finished.exit_code,
            failure_class: meaning.failure_class,
            failure_reason: meaning.failure_reason,
            finished_at: Some(finished.times.finished_at.unwrap_or(finished.times.ended_at)),
            orchestration_succeeded: Some(meaning.orchestration_succeeded),
            sandbox_id: Some(finished.sandbox_id.clone()),
            started_at: finished.times.started_at,
            tests: TestSummary::of(&finished.test_reports).map(|tests| tests.counts),
        };
        Self {
            status: meaning.status,
            outcome: meaning.outcome,
            source,
            message: finished.message.clone(),
            result,
            cleanup: finished.cleanup,
            orchestration_succeeded: meaning.orchestration_succeeded,
        }
    }

    fn abandoned(verdict: &Verdict, source: OutcomeSource, at: Timestamp, message: Option<String>) -> Self {
        let meaning = Meaning::of(verdict);
        let result = RunResult {
            artifact_errors: Some(Vec::new()),
            artifact_ids: Some(Vec::new()),
            cleanup_status: Some(CleanupStatus::NotRequested),
            evidence_available: Some(true),
            failure_class: meaning.failure_class,
            failure_reason: meaning.failure_reason,
            finished_at: Some(at),
            orchestration_succeeded: Some(meaning.orchestration_succeeded),
            ..RunResult::default()
        };
        Self {
            status: meaning.status,
            outcome: meaning.outcome,
            source,
            message,
            result,
            cleanup: CleanupStatus::NotRequested,
            orchestration_succeeded: meaning.orchestration_succeeded,
        }
    }
}

/// The end of the attempt that reported the ending.
pub(super) fn attempt_end(verdict: &Verdict) -> AttemptEnd {
    match verdict {
        Verdict::Exited { .. } => AttemptEnd::Exited,
        Verdict::Failed { reason: FailureReason::Timeout } => AttemptEnd::Timeout,
        Verdict::Failed { .. } => AttemptEnd::Failed,
        Verdict::Canceled => AttemptEnd::Canceled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_has_one_meaning() {
        use FailureReason::{ArchiveInvalid, InternalError, Timeout};
        let check = |verdict: Verdict, status, outcome, class| {
            let ending = Ending::of(&RunEnd::Abandoned {
                reason: verdict,
                source: OutcomeSource::Broker,
                at: Timestamp::now(),
                message: None,
            });
            assert_eq!((ending.status, ending.outcome, ending.result.failure_class), (status, outcome, class));
            assert_eq!(ending.result.exit_code, None, "an exit code exists only if wait() returned it");
        };
        check(Verdict::Exited { exit_code: 0 }, RunStatus::Succeeded, Outcome::Success, None);
        check(Verdict::Exited { exit_code: 3 }, RunStatus::Failed, Outcome::Failure, Some(FailureClass::UserCommand));
        let failed = |reason| Verdict::Failed { reason };
        check(failed(Timeout), RunStatus::Failed, Outcome::Timeout, Some(FailureClass::UserCommand));
        check(failed(ArchiveInvalid), RunStatus::Failed, Outcome::Failure, Some(FailureClass::UserInput));
        check(failed(InternalError), RunStatus::Failed, Outcome::Error, Some(FailureClass::Platform));
        check(Verdict::Canceled, RunStatus::Canceled, Outcome::Cancellation, Some(FailureClass::Canceled));
    }
}
