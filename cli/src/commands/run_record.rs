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
    record.line("artifacts", &field(run, "artifactIds"));
    for error in run["artifactErrors"].as_array().into_iter().flatten() {
        record.line("not collected", &format!("{}: {}", field(error, "path"), field(error, "message")));
    }
    record.line("evidence", &field(run, "evidenceAvailable"));
    record.to_string()
}

/// From the start of the command to its end.
pub(super) fn duration(run: &Value) -> String {
    run["durationMs"].as_u64().map(seconds).unwrap_or_default()
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03} s", millis / 1000, millis % 1000)
}
