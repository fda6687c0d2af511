//! `tests`: the cases of the test reports among the artifacts.

use super::table::row;
use crate::evidence::EvidenceBundle;
use crate::test_report::{Case, TestReport};

row! {
    TestRow: "tests", "A test case of a report.", key ["artifact_id", "case_number"] {
        workspace_run_id: String = "Id of the run.",
        org_id: String = "Organization: the tenant.",
        project_id: String = "Project of the organization.",
        artifact_id: String = "The report.",
        case_number: u64 = "Counts from 1, in the order of the report.",
        format: String = "`junit` or `ctrf`.",
        suite: Option<String> = "The innermost suite; in CTRF all of them, with ` > ` between.",
        class_name: Option<String> = "The class, where the report has one.",
        file: Option<String> = "The source file, where the report has one.",
        name: String = "The case. Neither unique nor ever empty by rule: what the run wrote.",
        status: String = "`passed`, `failed`, `error` or `skipped`.",
        flaky: bool = "Passed, but only after it had failed.",
        duration_ms: Option<u64> = "Its time in milliseconds.",
        message: Option<String> = "What was said about it: only where the operator turned it on, since it may hold secrets.",
        message_truncated: Option<bool> = "Whether there was more of the message; null without one.",
    }
}

/// Choice whether the messages of test cases are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Messages {
    Keep,
    Drop,
}

impl TestRow {
    pub fn of(bundle: &EvidenceBundle, report: &TestReport, case_number: u64, case: Case, messages: Messages) -> Self {
        let message = case.message.filter(|_| messages == Messages::Keep);
        Self {
            workspace_run_id: bundle.workspace_run_id.to_string(),
            org_id: bundle.org_id.to_string(),
            project_id: bundle.project_id.to_string(),
            artifact_id: report.artifact_id.to_string(),
            case_number,
            format: report.format.to_string(),
            suite: case.suite,
            class_name: case.class_name,
            file: case.file,
            name: case.name,
            status: case.status.to_string(),
            flaky: case.flaky,
            duration_ms: case.duration_ms,
            message_truncated: message.as_ref().map(|_| case.message_truncated),
            message,
        }
    }

    /// Bytes of the texts that the report's author chose.
    pub fn text_bytes(&self) -> usize {
        let optional = [&self.suite, &self.class_name, &self.file, &self.message];
        self.name.len() + optional.into_iter().flatten().map(String::len).sum::<usize>()
    }
}
