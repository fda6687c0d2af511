//! The differences between two bundles. Pure; members that this version does not know are not compared.

use std::collections::BTreeMap;

use schemas::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::cases::CaseChanges;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Comparison {
    /// Ids of the runs.
    pub a: Value,
    pub b: Value,
    /// True if outcome, exit code and tests are the same.
    pub same_result: bool,
    pub facts: Vec<Fact>,
    pub amounts: Vec<Amount>,
    pub artifacts: Vec<ArtifactChange>,
    /// If one of the runs has test reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tests: Option<TestComparison>,
}

/// Something that is the same or is not.
#[derive(Debug, Serialize)]
pub(super) struct Fact {
    pub name: &'static str,
    pub same: bool,
    pub a: Value,
    pub b: Value,
}

/// Something that can be more or less; names have units.
#[derive(Debug, Serialize)]
pub(super) struct Amount {
    pub name: &'static str,
    pub a: Option<u64>,
    pub b: Option<u64>,
    /// `b` by `a`.
    pub ratio: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct ArtifactChange {
    pub path: String,
    pub change: Change,
    /// Digests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub a: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Change {
    Equal,
    Changed,
    OnlyInA,
    OnlyInB,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TestComparison {
    pub same_counts: bool,
    /// Counts; `null` without reports.
    pub a: Value,
    pub b: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cases: Option<CaseChanges>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cases_not_compared: Option<String>,
}

/// The places of facts in a bundle; the first ones are its result.
const RESULT: [(&str, &str); 3] =
    [("outcome", "/outcome"), ("exitCode", "/exitCode"), ("failureReason", "/failureReason")];
const FACTS: [(&str, &str); 10] = [
    ("command", "/command"),
    ("archive", "/archive/sha256"),
    ("template", "/template/slug"),
    ("templateVersion", "/template/version"),
    ("templateDigest", "/template/digest"),
    ("envKeys", "/envKeys"),
    ("network", "/egress/allow"),
    ("limits", "/resources/limits"),
    ("timeoutMs", "/timeoutMs"),
    ("complete", "/completeness/complete"),
];
const PHASES: [(&str, &str, &str); 5] = [
    ("waitingMs", "queuedAt", "claimedAt"),
    ("fetchMs", "claimedAt", "fetchedAt"),
    ("extractMs", "fetchedAt", "extractedAt"),
    ("startMs", "extractedAt", "startedAt"),
    ("collectMs", "finishedAt", "collectedAt"),
];
const RESOURCES: [&str; 7] =
    ["cpuUserMs", "cpuSystemMs", "memoryPeakBytes", "ioReadBytes", "ioWriteBytes", "pidsPeak", "diskUsedBytes"];
const COUNTS: [&str; 6] = ["total", "passed", "failed", "errors", "skipped", "flaky"];

impl Comparison {
    pub(super) fn of(a: &Value, b: &Value) -> Self {
        let mut comparison = Self {
            a: a["workspaceRunId"].clone(),
            b: b["workspaceRunId"].clone(),
            same_result: false,
            facts: RESULT.iter().chain(&FACTS).map(|(name, pointer)| fact(name, pointer, a, b)).collect(),
            amounts: amounts(a, b),
            artifacts: artifacts(a, b),
            tests: tests(a, b),
        };
        comparison.judge();
        comparison
    }

    pub(super) fn set_cases(&mut self, cases: Result<CaseChanges, String>) {
        if let Some(tests) = &mut self.tests {
            match cases {
                Ok(changes) => tests.cases = Some(changes),
                Err(reason) => tests.cases_not_compared = Some(reason),
            }
        }
        self.judge();
    }

    fn judge(&mut self) {
        let tests = self.tests.as_ref();
        self.same_result = self.facts[..RESULT.len()].iter().all(|fact| fact.same)
            && tests.is_none_or(|tests| tests.same_counts && tests.cases.as_ref().is_none_or(CaseChanges::is_empty));
    }
}

fn fact(name: &'static str, pointer: &str, a: &Value, b: &Value) -> Fact {
    let of = |bundle: &Value| bundle.pointer(pointer).cloned().unwrap_or_default();
    let (a, b) = (of(a), of(b));
    Fact { name, same: a == b, a, b }
}

fn amounts(a: &Value, b: &Value) -> Vec<Amount> {
    let phase = |bundle: &Value, from: &str, to: &str| {
        let at = |name: &str| bundle["timing"][name].as_str()?.parse::<Timestamp>().ok();
        Some(at(to)?.millis_since(at(from)?))
    };
    let mut all = vec![amount("commandMs", a["durationMs"].as_u64(), b["durationMs"].as_u64())];
    all.extend(PHASES.map(|(name, from, to)| amount(name, phase(a, from, to), phase(b, from, to))));
    all.extend(RESOURCES.map(|name| amount(name, a["resources"][name].as_u64(), b["resources"][name].as_u64())));
    all.retain(|amount| amount.a.is_some() || amount.b.is_some());
    all
}

#[expect(clippy::cast_precision_loss, reason = "a ratio for people, to two digits")]
fn amount(name: &'static str, a: Option<u64>, b: Option<u64>) -> Amount {
    let ratio = match (a, b) {
        (Some(a), Some(b)) if a > 0 => Some((b as f64 / a as f64 * 100.0).round() / 100.0),
        _ => None,
    };
    Amount { name, a, b, ratio }
}

/// By path; of several with one path, in their order.
fn artifacts(a: &Value, b: &Value) -> Vec<ArtifactChange> {
    let mut digests: BTreeMap<(String, usize), [Option<String>; 2]> = BTreeMap::new();
    for (side, bundle) in [a, b].into_iter().enumerate() {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for artifact in bundle["artifacts"].as_array().into_iter().flatten() {
            let text = |name: &str| artifact[name].as_str().unwrap_or_default().to_owned();
            let times = seen.entry(text("path")).or_default();
            digests.entry((text("path"), *times)).or_default()[side] = Some(text("sha256"));
            *times += 1;
        }
    }
    let changes = digests.into_iter().map(|((path, _), [a, b])| {
        let change = match (&a, &b) {
            (Some(a), Some(b)) if a == b => Change::Equal,
            (Some(_), Some(_)) => Change::Changed,
            (_, None) => Change::OnlyInA,
            (None, _) => Change::OnlyInB,
        };
        ArtifactChange { path, change, a, b }
    });
    changes.collect()
}

fn tests(a: &Value, b: &Value) -> Option<TestComparison> {
    let counts = |bundle: &Value| match &bundle["tests"] {
        Value::Object(tests) => json!(tests.iter().filter(|(name, _)| *name != "reports").collect::<BTreeMap<_, _>>()),
        _ => Value::Null,
    };
    let (a, b) = (counts(a), counts(b));
    let same_counts = COUNTS.iter().all(|name| a.get(name) == b.get(name));
    (!a.is_null() || !b.is_null()).then_some(TestComparison {
        same_counts,
        a,
        b,
        cases: None,
        cases_not_compared: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(outcome: &str, artifacts: &Value, tests: &Value) -> Value {
        json!({
            "workspaceRunId": "wsr_1", "outcome": outcome, "command": "make", "durationMs": 100, "artifacts": artifacts,
            "timing": {"queuedAt": "2026-01-31T12:00:00.000Z", "claimedAt": "2026-01-31T12:00:00.050Z"},
            "resources": {"cpuUserMs": 0}, "tests": tests,
        })
    }

    #[test]
    fn what_differs_is_found() {
        let artifact = |path: &str, sha256: &str| json!({"path": path, "sha256": sha256});
        let a = bundle(
            "success",
            &json!([artifact("x", "1"), artifact("x", "2"), artifact("y", "3")]),
            &json!({"total": 1, "passed": 1, "durationMs": 5, "reports": [1]}),
        );
        let mut b = bundle(
            "failure",
            &json!([artifact("x", "1"), artifact("x", "4"), artifact("z", "3")]),
            &json!({"total": 1, "passed": 0, "failed": 1, "durationMs": 6, "reports": []}),
        );
        b["durationMs"] = json!(150);
        let found = Comparison::of(&a, &b);
        let different: Vec<_> = found.facts.iter().filter(|fact| !fact.same).map(|fact| fact.name).collect();
        assert_eq!(different, ["outcome"]);
        let amounts: Vec<_> = found.amounts.iter().map(|of| (of.name, of.a, of.b, of.ratio)).collect();
        assert_eq!(
            amounts,
            [
                ("commandMs", Some(100), Some(150), Some(1.5)),
                ("waitingMs", Some(50), Some(50), Some(1.0)),
                ("cpuUserMs", Some(0), Some(0), None),
            ]
        );
        let artifacts: Vec<_> = found.artifacts.iter().map(|of| (of.path.as_str(), of.change)).collect();
        use Change::{Changed, Equal, OnlyInA, OnlyInB};
        assert_eq!(artifacts, [("x", Equal), ("x", Changed), ("y", OnlyInA), ("z", OnlyInB)]);
        let tests = found.tests.as_ref().unwrap();
        assert_eq!((tests.same_counts, &tests.a["passed"], tests.a.get("reports")), (false, &json!(1), None));
        assert!(!found.same_result);
    }

    #[test]
    fn time_and_artifacts_are_no_part_of_the_result() {
        let a = bundle("success", &json!([]), &json!({"total": 1, "passed": 1, "durationMs": 5}));
        let mut b = bundle("success", &json!([{"path": "x", "sha256": "1"}]), &json!({"total": 1, "passed": 1}));
        b["durationMs"] = json!(900);
        assert!(Comparison::of(&a, &b).same_result);
        b["tests"] = Value::Null;
        assert!(!Comparison::of(&a, &b).same_result);
        assert!(Comparison::of(&json!({}), &json!({})).same_result);
    }
}
