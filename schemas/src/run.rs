//! States of a workspace run, its failures and outcomes, and the one state machine that says which state may follow
//! which.

use crate::word::word_enum;

/// Attempts that a run gets if the platform loses its executors.
pub const MAX_ATTEMPTS: u32 = 3;

word_enum! {
    /// State of a run. A run that waits for a slot or in the queue is `starting`.
    RunStatus: "one of awaiting_archive, archive_uploaded, starting, extracting, running, collecting, succeeded, failed, canceled" {
        AwaitingArchive = "awaiting_archive",
        ArchiveUploaded = "archive_uploaded",
        Starting = "starting",
        Extracting = "extracting",
        Running = "running",
        Collecting = "collecting",
        Succeeded = "succeeded",
        Failed = "failed",
        Canceled = "canceled",
    }
}

impl RunStatus {
    /// True if the run is over: its outcome is sealed and nothing about it changes any more.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Canceled)
    }

    /// The one state machine of a run; the database mirrors it in `ingest.run_can_become`.
    /// Skipping ahead is allowed (a segment may carry several states), and a lost attempt starts over.
    pub fn can_become(self, next: Self) -> bool {
        use RunStatus::{ArchiveUploaded, AwaitingArchive, Collecting, Extracting, Failed, Running, Starting};
        match (self, next) {
            (from, _) if from.is_terminal() => false,
            (_, Self::Canceled | Failed) => true,
            (AwaitingArchive, ArchiveUploaded) | (ArchiveUploaded, Starting) => true,
            (Starting, Extracting | Running | Collecting | Self::Succeeded)
            | (Extracting, Running | Collecting | Self::Succeeded)
            | (Running, Collecting | Self::Succeeded)
            | (Collecting, Self::Succeeded) => true,
            (Extracting | Running | Collecting, Starting) => true,
            _ => false,
        }
    }
}

word_enum! {
    /// Reason why a run failed.
    FailureReason: "a failure reason" {
        ArchiveInvalid = "archive_invalid",
        ArchiveTooLarge = "archive_too_large",
        CommandExit = "command_exit",
        ExtractionFailed = "extraction_failed",
        InternalError = "internal_error",
        SandboxConflict = "sandbox_conflict",
        SandboxUnavailable = "sandbox_unavailable",
        Timeout = "timeout",
        UploadMissing = "upload_missing",
    }
}

word_enum! {
    /// Party that a failure is attributed to.
    FailureClass: "one of canceled, platform, user_command, user_input" {
        Canceled = "canceled",
        Platform = "platform",
        UserCommand = "user_command",
        UserInput = "user_input",
    }
}

impl FailureReason {
    pub fn class(self) -> FailureClass {
        match self {
            Self::CommandExit | Self::Timeout => FailureClass::UserCommand,
            Self::ArchiveInvalid | Self::ArchiveTooLarge | Self::UploadMissing => FailureClass::UserInput,
            // If a good archive cannot be extracted, our disk failed.
            Self::ExtractionFailed | Self::InternalError | Self::SandboxConflict | Self::SandboxUnavailable => {
                FailureClass::Platform
            }
        }
    }
}

word_enum! {
    /// Clean-up of the sandbox after the run.
    CleanupStatus: "one of failed, not_requested, pending, succeeded" {
        Failed = "failed",
        NotRequested = "not_requested",
        Pending = "pending",
        Succeeded = "succeeded",
    }
}

word_enum! {
    /// Outcome of a run, after OpenTelemetry's `cicd.pipeline.result`.
    Outcome: "one of success, failure, error, timeout, cancellation" {
        Success = "success",
        Failure = "failure",
        Error = "error",
        Timeout = "timeout",
        Cancellation = "cancellation",
    }
}

word_enum! {
    /// Source that established the outcome.
    OutcomeSource: "one of executor, collector, broker, user, quota" {
        Executor = "executor",
        Collector = "collector",
        Broker = "broker",
        User = "user",
        Quota = "quota",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_states_are_final_and_every_other_state_can_be_canceled() {
        for &from in RunStatus::ALL {
            for &next in RunStatus::ALL {
                if from.is_terminal() {
                    assert!(!from.can_become(next), "{from} -> {next}");
                }
            }
            assert_eq!(from.can_become(RunStatus::Canceled), !from.is_terminal());
            assert!(!from.can_become(RunStatus::AwaitingArchive));
            assert!(!from.can_become(from), "{from} -> itself");
        }
    }

    #[test]
    fn words_round_trip() {
        for &status in RunStatus::ALL {
            assert_eq!(status.as_str().parse::<RunStatus>(), Ok(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        assert!("done".parse::<RunStatus>().is_err());
    }
}
