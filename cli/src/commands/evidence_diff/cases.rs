//! The tests of two runs, case by case.

use std::collections::BTreeMap;

use schemas::test_report::{Case, CaseStatus};
use serde::Serialize;

/// The identity of a test case. Cases that a report lists several times are matched in their order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    suite: Option<String>,
    class_name: Option<String>,
    name: String,
    occurrence: usize,
}

/// The cases of one run.
#[derive(Debug, Default)]
pub(super) struct Cases {
    statuses: BTreeMap<Key, CaseStatus>,
}

impl Cases {
    pub(super) fn insert(&mut self, case: Case) {
        let mut key = Key { suite: case.suite, class_name: case.class_name, name: case.name, occurrence: 0 };
        // The last one of the same name says how many there are.
        let last = Key { occurrence: usize::MAX, ..key.clone() };
        if let Some((known, _)) = self.statuses.range(&key..=&last).next_back() {
            key.occurrence = known.occurrence + 1;
        }
        self.statuses.insert(key, case.status);
    }
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CaseChanges {
    /// Failed or with an error, and did not before.
    pub newly_failing: Vec<CaseChange>,
    /// Passed, and failed or had an error before.
    pub fixed: Vec<CaseChange>,
    /// Skipped or not, and the other way before.
    pub changed: Vec<CaseChange>,
    pub only_in_a: Vec<CaseChange>,
    pub only_in_b: Vec<CaseChange>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CaseChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_name: Option<String>,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub a: Option<CaseStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b: Option<CaseStatus>,
}

impl CaseChanges {
    pub(super) fn is_empty(&self) -> bool {
        self.lists().iter().all(|(_, list)| list.is_empty())
    }

    /// With their names for people.
    pub(super) fn lists(&self) -> [(&'static str, &[CaseChange]); 5] {
        [
            ("newly failing", &self.newly_failing),
            ("fixed", &self.fixed),
            ("changed", &self.changed),
            ("only in A", &self.only_in_a),
            ("only in B", &self.only_in_b),
        ]
    }
}

pub(super) fn compare(a: &Cases, b: &Cases) -> CaseChanges {
    let mut changes = CaseChanges::default();
    let only_in_b = b.statuses.keys().filter(|key| !a.statuses.contains_key(key));
    for key in a.statuses.keys().chain(only_in_b) {
        let (before, after) = (a.statuses.get(key).copied(), b.statuses.get(key).copied());
        let fails = |status| matches!(status, CaseStatus::Failed | CaseStatus::Error);
        let list = match (before, after) {
            (None, _) => &mut changes.only_in_b,
            (_, None) => &mut changes.only_in_a,
            (Some(before), Some(after)) if before == after || fails(before) && fails(after) => continue,
            (_, Some(after)) if fails(after) => &mut changes.newly_failing,
            (Some(before), Some(CaseStatus::Passed)) if fails(before) => &mut changes.fixed,
            _ => &mut changes.changed,
        };
        let (suite, class_name, name) = (key.suite.clone(), key.class_name.clone(), key.name.clone());
        list.push(CaseChange { suite, class_name, name, a: before, b: after });
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::test_report::{ReportFormat, read};

    fn cases(report: &str) -> Cases {
        let mut cases = Cases::default();
        read(ReportFormat::Junit, format!("<testsuite>{report}</testsuite>").as_bytes(), |case| cases.insert(case))
            .unwrap();
        cases
    }

    #[test]
    fn every_change_has_its_list() {
        let case = |name: &str, inside: &str| format!("<testcase name='{name}'>{inside}</testcase>");
        let (fails, error, skipped) = ("<failure/>", "<error/>", "<skipped/>");
        let a = [
            case("same", ""),
            case("broken", fails),
            case("breaks", ""),
            case("fixed", error),
            case("skipped", ""),
            case("no longer run", fails),
            case("twice", ""),
            case("twice", ""),
            case("gone", ""),
        ];
        let b = [
            case("same", ""),
            case("broken", error),
            case("breaks", fails),
            case("fixed", ""),
            case("skipped", skipped),
            case("no longer run", skipped),
            case("twice", ""),
            case("twice", fails),
            case("new", fails),
        ];
        let changes = compare(&cases(&a.concat()), &cases(&b.concat()));
        let names =
            changes.lists().map(|(list, cases)| (list, cases.iter().map(|case| &*case.name).collect::<Vec<_>>()));
        let expected = [
            ("newly failing", vec!["breaks", "twice"]),
            ("fixed", vec!["fixed"]),
            ("changed", vec!["no longer run", "skipped"]),
            ("only in A", vec!["gone"]),
            ("only in B", vec!["new"]),
        ];
        assert_eq!(names, expected);
        assert!(compare(&cases(&a.concat()), &cases(&a.concat())).is_empty());
    }
}
