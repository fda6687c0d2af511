//! A run as people read it.

use serde_json::Value;

use crate::output::{Record, field, text_of};

pub(super) fn readable(run: &Value) -> String {
    let mut record = Record::default();
    record.line("id", &field(run, "id"));
    record.line("status", &field(run, "status"));
    record.line("exit code", &field(run, "exitCode"));
    let failure = [field(run, "failureReason"), field(run, "failureClass")];
    record.line(
        "failure",
        failure.iter().filter(|text| !text.is_empty()).cloned().collect::<Vec<_>>().join(", ").as_str(),
    );
    record.line("command", &field(run, "command"));
    record.line("env", &field(run, "envKeys"));
    record.line("network", &field(run, "network"));
    record.line("template", &format!("{} {}", field(run, "templateSlug"), field(run, "templateVersion")));
    record.line("project", &field(run, "projectId"));
    record.line("metadata", &field(run, "metadata"));
    record.line("source", &field(run, "sourceMetadata"));
    record.line("archive", &run["archive"].get("sha256").map(text_of).unwrap_or_default());
    record.line("created", &field(run, "createdAt"));
    record.line("started", &field(run, "startedAt"));
    record.line("finished", &field(run, "finishedAt"));
    record.line("duration", &duration(run));
    record.line("time limit", &run["timeoutMs"].as_u64().map(seconds).unwrap_or_default());
    record.line("tests", &tests(run).unwrap_or_default());
    record.line("artifacts", &field(run, "artifactIds"));
    for error in run["artifactErrors"].as_array().into_iter().flatten() {
        record.line("artifact error", &format!("{}: {}", field(error, "path"), field(error, "message")));
    }
    record.line("evidence", &field(run, "evidenceAvailable"));
    record.to_string()
}

/// From the start of the command to its end.
pub(super) fn duration(run: &Value) -> String {
    run["durationMs"].as_u64().map(seconds).unwrap_or_default()
}

/// The result of a run's test reports in a few words; `None` if it has no reports.
pub(super) fn tests(run: &Value) -> Option<String> {
    let counts = run.get("tests").filter(|counts| counts.is_object())?;
    let count = |name: &str| counts[name].as_u64().unwrap_or(0);
    let passed = format!("{} passed", count("passed"));
    let flaky = match count("flaky") {
        0 => String::new(),
        flaky => format!(" ({flaky} flaky)"),
    };
    let others = [("failed", "failed"), ("errors", "with errors"), ("skipped", "skipped")];
    let others = others.iter().map(|(name, words)| (count(name), words)).filter(|(count, _)| *count > 0);
    let others: String = others.map(|(count, words)| format!(", {count} {words}")).collect();
    Some(passed + &flaky + &others)
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03} s", millis / 1000, millis % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tests_are_counted_in_words() {
        let check = |counts: Value, expected: Option<&str>| {
            assert_eq!(tests(&json!({ "tests": counts })).as_deref(), expected, "{counts}");
        };
        check(json!(null), None);
        check(json!({"total": 0, "passed": 0}), Some("0 passed"));
        check(json!({"passed": 120, "failed": 2, "skipped": 1, "errors": 0}), Some("120 passed, 2 failed, 1 skipped"));
        check(json!({"passed": 3, "flaky": 1, "errors": 1}), Some("3 passed (1 flaky), 1 with errors"));
    }
}
