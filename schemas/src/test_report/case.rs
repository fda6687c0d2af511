//! One test case, in words that all formats share.

use crate::word::word_enum;

word_enum! {
    /// How a test report is written.
    ReportFormat: "one of ctrf, junit" {
        /// Common Test Report Format, <https://ctrf.io>: JSON.
        Ctrf = "ctrf",
        /// What Ant's JUnit task began and most test tools write: XML with `testsuite` and `testcase`.
        Junit = "junit",
    }
}

impl ReportFormat {
    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Ctrf => "CTRF JSON",
            Self::Junit => "JUnit XML",
        }
    }
}

word_enum! {
    /// How a test case ended.
    CaseStatus: "one of error, failed, passed, skipped" {
        /// It could not be judged: something broke around it.
        Error = "error",
        Failed = "failed",
        Passed = "passed",
        /// It has no result: not run, or in CTRF `pending` or `other`, as which Jest reports what is still to be written.
        Skipped = "skipped",
    }
}

/// One test case. All texts are whatever the run wrote: of limited length, control characters replaced, but neither
/// unique nor free of secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The innermost suite; in CTRF all of them, with ` > ` between.
    pub suite: Option<String>,
    pub class_name: Option<String>,
    pub file: Option<String>,
    /// May be empty.
    pub name: String,
    pub status: CaseStatus,
    /// Passed, but only after it had failed.
    pub flaky: bool,
    /// Absent where the report has none, or one that cannot be: negative, not a number, centuries.
    pub duration_ms: Option<u64>,
    /// The beginning of what was said about it.
    pub message: Option<String>,
    /// There was more of it.
    pub message_truncated: bool,
}
