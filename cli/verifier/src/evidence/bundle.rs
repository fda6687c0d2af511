//! The bundle itself: it has the shape of the format, and does not contradict itself.

use schemas::evidence::{Document, DocumentError, EvidenceBundle};
use schemas::layout;
use schemas::run::{Outcome, RunStatus};

use super::document;
use super::report::Check;

#[derive(Debug)]
pub(super) struct Bundle {
    pub content: EvidenceBundle,
    pub sha256: String,
}

impl Bundle {
    pub(super) fn read(text: &[u8]) -> Result<Self, Check> {
        let value = document::parse(text).map_err(|message| Check::failed("schema", message))?;
        let document = Document::of(value).map_err(|error| match error {
            DocumentError::Later { .. } => Check::not_checked("schema", error.to_string()),
            error => Check::failed("schema", error.to_string()),
        })?;
        Ok(Self { sha256: document.sha256(), content: document.bundle })
    }

    /// Folder of the run in the bucket.
    pub(super) fn prefix(&self) -> String {
        let bundle = &self.content;
        let date = bundle.created_at.to_string();
        let date = date.get(..10).unwrap_or_default();
        let (org, project, run) = (&bundle.org_id, &bundle.project_id, &bundle.workspace_run_id);
        layout::run_folder(org, project, &date, run)
    }

    pub(super) fn check(&self) -> Check {
        let version = &self.content.schema_version;
        match self.contradiction() {
            None => {
                Check::verified("schema", format!("an Evidence Bundle of version {version}, without contradictions"))
            }
            Some(message) => Check::failed("schema", format!("the bundle contradicts itself: {message}")),
        }
    }

    fn contradiction(&self) -> Option<String> {
        let bundle = &self.content;
        let expected = match bundle.outcome {
            Outcome::Success => RunStatus::Succeeded,
            Outcome::Failure | Outcome::Error | Outcome::Timeout => RunStatus::Failed,
            Outcome::Cancellation => RunStatus::Canceled,
        };
        if bundle.status != expected {
            return Some(format!("outcome `{}` with status `{}`", bundle.outcome, bundle.status));
        }
        if bundle.failure_reason.is_some() != (bundle.status == RunStatus::Failed) {
            return Some(format!("status `{}` and failureReason do not fit", bundle.status));
        }
        if bundle.outcome == Outcome::Success && bundle.exit_code != Some(0) {
            return Some("success without exit code 0".to_owned());
        }
        let ids = bundle.artifacts.iter().map(|artifact| &artifact.id);
        if !ids.eq(&bundle.artifact_ids) {
            return Some("artifactIds are not those of the artifacts".to_owned());
        }
        let completeness = &bundle.completeness;
        let complete = completeness.gaps.is_empty()
            && completeness.lost_attempts.is_empty()
            && completeness.truncated_streams.is_empty();
        if completeness.complete != complete {
            return Some("`complete` is not what gaps, lost attempts and truncated streams say".to_owned());
        }
        self.log_contradiction().or_else(|| self.foreign_key())
    }

    fn log_contradiction(&self) -> Option<String> {
        let log = &self.content.event_log;
        let (Some(first), Some(last)) = (log.parts.first(), log.parts.last()) else {
            return Some("the event log has no part".to_owned());
        };
        if (first.first_seq, last.last_seq) != (log.first_seq, log.last_seq) {
            return Some("the parts do not begin and end where the event log does".to_owned());
        }
        let length = |first: u64, last: u64| last.saturating_add(1).saturating_sub(first);
        let gaps = self.content.completeness.gaps.iter();
        let missing = gaps.fold(0u64, |sum, gap| sum.saturating_add(length(gap.first_seq, gap.last_seq)));
        // Numbers begin at 1; what is missing before the first event is a gap, too.
        let numbers = log.last_seq;
        if numbers.checked_sub(missing) != Some(log.count) {
            return Some(format!("{} events counted, {numbers} numbers, {missing} of them missing", log.count));
        }
        None
    }

    /// A key of an object that is not in this run's folder.
    fn foreign_key(&self) -> Option<String> {
        let prefix = format!("{}/", self.prefix());
        let parts = self.content.event_log.parts.iter().map(|part| &part.object_key);
        let mut keys = parts.chain(self.content.artifacts.iter().map(|artifact| &artifact.object_key));
        let foreign = keys.find(|key| !key.starts_with(&prefix))?;
        Some(format!("`{foreign}` is not in the folder of the run"))
    }
}
