//! One test case, in words that all formats share.

use crate::word::word_enum;

word_enum! {
    /// Format of a test report.
    ReportFormat: "one of ctrf, junit" {
        /// Common Test Report Format, <https://ctrf.io>: JSON.
        Ctrf = "ctrf",
        /// XML with `testsuite` and `testcase`, which Ant's JUnit task began and most test tools write.
        Junit = "junit",
    }
}

impl ReportFormat {
    /// Name of the format, for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Ctrf => "CTRF JSON",
            Self::Junit => "JUnit XML",
        }
    }
}

word_enum! {
    /// Status of a test case.
    CaseStatus: "one of error, failed, passed, skipped" {
        /// The case could not be judged: something broke around it.
        Error = "error",
        Failed = "failed",
        Passed = "passed",
        /// The case has no result: not run, or in CTRF `pending` or `other`, which Jest reports for tests still to be
        /// written.
        Skipped = "skipped",
    }
}

/// One test case. All texts are whatever the run wrote: of limited length, control characters replaced, but neither
/// unique nor free of secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The innermost suite; in CTRF all suites, with ` > ` between.
    pub suite: Option<String>,
    pub class_name: Option<String>,
    pub file: Option<String>,
    /// Name of the case; may be empty.
    pub name: String,
    pub status: CaseStatus,
    /// True if the case passed only after it had failed.
    pub flaky: bool,
    /// Duration in milliseconds; absent where the report has none, or an impossible one: negative, not a number,
    /// centuries.
    pub duration_ms: Option<u64>,
    /// Beginning of the message about the case.
    pub message: Option<String>,
    /// True if the message was longer.
    pub message_truncated: bool,
}
