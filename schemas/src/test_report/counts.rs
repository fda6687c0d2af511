//! Test reports in the Evidence Bundle: numbers, and no text from a report.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::case::{Case, CaseStatus, ReportFormat};
use crate::id::ArtifactId;

/// Test cases, counted one by one: the totals that a report claims are ignored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestCounts {
    /// `passed`, `failed`, `errors` and `skipped` together.
    pub total: u64,
    pub passed: u64,
    pub failed: u64,
    /// Cases that could not be judged: something broke around them.
    pub errors: u64,
    pub skipped: u64,
    /// Cases among `passed` that had failed before.
    pub flaky: u64,
    /// Sum of the cases' durations, in milliseconds; more than the elapsed time where cases ran concurrently.
    pub duration_ms: u64,
}

impl TestCounts {
    pub(super) fn add(&mut self, case: &Case) {
        self.total += 1;
        match case.status {
            CaseStatus::Passed => self.passed += 1,
            CaseStatus::Failed => self.failed += 1,
            CaseStatus::Error => self.errors += 1,
            CaseStatus::Skipped => self.skipped += 1,
        }
        self.flaky += u64::from(case.flaky);
        self.add_duration(case.duration_ms.unwrap_or(0));
    }

    fn add_duration(&mut self, ms: u64) {
        self.duration_ms = exact(self.duration_ms.saturating_add(ms));
    }
}

/// Stays within the integers that JSON keeps exactly.
fn exact(number: u64) -> u64 {
    number.min((1 << 53) - 1)
}

/// One report among the artifacts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestReport {
    pub artifact_id: ArtifactId,
    pub format: ReportFormat,
    #[serde(flatten)]
    pub counts: TestCounts,
}

/// All reports of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestSummary {
    pub reports: Vec<TestReport>,
    #[serde(flatten)]
    pub counts: TestCounts,
}

impl TestSummary {
    /// `None` without reports.
    pub fn of(reports: &[TestReport]) -> Option<Self> {
        let mut all = TestCounts::default();
        for TestReport { counts, .. } in reports {
            for (sum, count) in [
                (&mut all.total, counts.total),
                (&mut all.passed, counts.passed),
                (&mut all.failed, counts.failed),
                (&mut all.errors, counts.errors),
                (&mut all.skipped, counts.skipped),
                (&mut all.flaky, counts.flaky),
                (&mut all.duration_ms, counts.duration_ms),
            ] {
                *sum = exact(sum.saturating_add(count));
            }
        }
        (!reports.is_empty()).then(|| Self { reports: reports.to_vec(), counts: all })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_summary_adds_up_and_keeps_its_shape() {
        let report =
            |id: &str, counts| TestReport { artifact_id: id.parse().unwrap(), format: ReportFormat::Ctrf, counts };
        let one = TestCounts {
            total: 3,
            passed: 1,
            failed: 1,
            errors: 1,
            duration_ms: (1 << 53) - 2,
            ..TestCounts::default()
        };
        let two = TestCounts { total: 2, passed: 1, skipped: 1, flaky: 1, duration_ms: 9, ..TestCounts::default() };
        let summary = TestSummary::of(&[report("art_1", one), report("art_2", two)]).unwrap();
        let written = serde_json::to_value(&summary).unwrap();
        assert_eq!(
            written,
            json!({
                "total": 5, "passed": 2, "failed": 1, "errors": 1, "skipped": 1, "flaky": 1, "durationMs": 9_007_199_254_740_991_u64,
                "reports": [
                    {"artifactId": "art_1", "format": "ctrf", "total": 3, "passed": 1, "failed": 1, "errors": 1, "skipped": 0,
                     "flaky": 0, "durationMs": 9_007_199_254_740_990_u64},
                    {"artifactId": "art_2", "format": "ctrf", "total": 2, "passed": 1, "failed": 0, "errors": 0, "skipped": 1,
                     "flaky": 1, "durationMs": 9},
                ],
            })
        );
        assert_eq!(serde_json::from_value::<TestSummary>(written).unwrap(), summary);
        assert_eq!(TestSummary::of(&[]), None);
    }
}
