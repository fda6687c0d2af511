//! Checks that an ending can be sealed: it is an executor's word, and the evidence vouches for it. What it says about the
//! executor itself is what the claim says, its objects are in the run's folder, and its numbers have a form in canonical JSON.

use std::collections::HashSet;

use schemas::message::{CollectedArtifact, Finished, RunEnd, Verdict};
use schemas::run::{FailureReason, OutcomeSource};
use serde_json::Value;

use super::case::Case;

/// Far above every true number, and so low that sums of them are exact in JSON.
const MOST: u64 = 1 << 50;

/// The fault of the case's ending, which never will be right.
pub(super) fn fault(case: &Case) -> Option<&'static str> {
    let RunEnd::Finished(finished) = &case.decision.end else { return None };
    let claim = case.attempts.iter().find(|claim| claim.attempt == case.decision.attempt);
    let claimed = claim.is_some_and(|claim| {
        (&claim.executor_id, &claim.sandbox_id, &claim.command_id)
            == (&finished.executor_id, &finished.sandbox_id, &finished.command_id)
    });
    if !claimed {
        return Some("it does not name the executor, the sandbox and the command of the attempt's claim");
    }
    let folder = format!("{}/artifacts/", case.row.prefix());
    if !finished.artifacts.iter().all(|artifact| is_in(&folder, artifact)) {
        return Some("an artifact of it is not in the folder of the run");
    }
    let ids: HashSet<&str> = finished.artifacts.iter().map(|artifact| artifact.id.as_str()).collect();
    if ids.len() < finished.artifacts.len() {
        return Some("it names an artifact twice");
    }
    numbers_fault(finished)
}

/// The key is the artifact's own: nobody deletes an object of another artifact with it.
fn is_in(folder: &str, artifact: &CollectedArtifact) -> bool {
    let rest = artifact.object_key.strip_prefix(folder).and_then(|rest| rest.strip_prefix(artifact.id.as_str()));
    rest.and_then(|rest| rest.strip_prefix('/'))
        .is_some_and(|name| !name.is_empty() && !matches!(name, "." | "..") && !name.contains(['/', '\0']))
}

fn numbers_fault(finished: &Finished) -> Option<&'static str> {
    let sum = finished.artifacts.iter().fold(0u64, |sum, artifact| sum.saturating_add(artifact.size_bytes));
    let exact = serde_json::to_value(finished).is_ok_and(|value| is_exact(&value));
    (sum > MOST || !exact).then_some("a number of it is larger than any that could be true")
}

fn is_exact(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_i64().is_some_and(|number| number.unsigned_abs() <= MOST),
        Value::Array(items) => items.iter().all(is_exact),
        Value::Object(members) => members.values().all(is_exact),
        _ => true,
    }
}

/// The ending that takes the place of one with this fault: the same, whoever makes it.
pub(super) fn instead(case: &Case, fault: &str) -> RunEnd {
    RunEnd::Abandoned {
        reason: Verdict::Failed { reason: FailureReason::InternalError },
        source: OutcomeSource::Collector,
        at: case.decision.decided_at,
        message: Some(format!("the report of the attempt was not accepted: {fault}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_keys_and_numbers_that_can_be_are_taken() {
        let artifact = |key: &str| -> CollectedArtifact {
            serde_json::from_value(json!({
                "id": "art_1", "path": "a", "name": "a", "sizeBytes": 1, "sha256": "", "contentType": "", "objectKey": key,
                "createdAt": "2026-01-31T12:00:00.000Z",
            }))
            .unwrap()
        };
        for (key, expected) in [
            ("run=1/artifacts/art_1/a b", true),
            ("run=2/artifacts/art_1/a", false),
            ("run=1/artifacts/art_2/a", false),
            ("run=1/artifacts/art_1/../art_2/a", false),
            ("run=1/artifacts/art_1/..", false),
            ("run=1/artifacts/art_1/", false),
            ("run=1/artifacts/art_1x/a", false),
            ("run=1/evidence.json", false),
        ] {
            assert_eq!(is_in("run=1/artifacts/", &artifact(key)), expected, "{key}");
        }
        for (value, expected) in [
            (json!({"a": [1, {"b": 1u64 << 50}], "c": "18446744073709551615", "d": -1}), true),
            (json!([[(1u64 << 50) + 1]]), false),
            (json!({"a": u64::MAX}), false),
            (json!({"a": 1.5}), false),
        ] {
            assert_eq!(is_exact(&value), expected, "{value}");
        }
    }
}
