//! `attempts`: every claim of a run by an executor.

use super::table::row;
use crate::Timestamp;
use crate::evidence::EvidenceBundle;

row! {
    AttemptRow: "attempts", "A claim of a run by an executor, lost ones included.", key ["workspace_run_id", "attempt"] {
        workspace_run_id: String = "Id of the run.",
        org_id: String = "Organization: the tenant.",
        project_id: String = "Project of the organization.",
        attempt: u64 = "Counts from 1.",
        executor_id: String = "The executor process.",
        sandbox_id: String = "The sandbox.",
        command_id: String = "The command in it.",
        claimed_at: Timestamp = "When the executor took the run.",
        ended_at: Option<Timestamp> = "When the attempt was over; of a lost one, when that was noticed.",
        ended: String = "`exited`, `failed`, `timeout`, `canceled` or `lost`.",
        exit_code: Option<i32> = "Exit code of the command, where `wait()` returned one.",
        signal: Option<i32> = "Signal that ended the command.",
        oom_killed: Option<bool> = "Whether the kernel killed something in it for lack of memory.",
    }
}

impl AttemptRow {
    pub fn of(bundle: &EvidenceBundle) -> impl Iterator<Item = Self> {
        bundle.attempts.iter().map(|attempt| Self {
            workspace_run_id: bundle.workspace_run_id.to_string(),
            org_id: bundle.org_id.to_string(),
            project_id: bundle.project_id.to_string(),
            attempt: attempt.attempt.into(),
            executor_id: attempt.executor_id.to_string(),
            sandbox_id: attempt.sandbox_id.to_string(),
            command_id: attempt.command_id.to_string(),
            claimed_at: attempt.claimed_at,
            ended_at: attempt.ended_at,
            ended: attempt.ended.to_string(),
            exit_code: attempt.exit_code,
            signal: attempt.signal,
            oom_killed: attempt.oom_killed,
        })
    }
}
