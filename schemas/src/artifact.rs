//! Artifacts of a run: requests, errors, and tombstones of deleted ones.

pub mod tombstone;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cut::cut;
use crate::limits;
use crate::test_report::ReportFormat;
use crate::word::word_enum;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactRequest {
    /// Path relative to `/workspace`, or absolute beneath it: a file, a folder (collected as one tar) or, if nothing
    /// has this name, a pattern with `*`, `?`, `[…]`, `{a,b}` and `**` for any number of folders; every match is
    /// collected. At most 4,096 bytes, without NUL.
    #[schemars(length(min = 1, max = limits::PATH_BYTES), regex(pattern = r"^[^\u0000]*$"))]
    pub path: String,
    /// Name of the artifact. Defaults to the last part of the path, followed by `.tar` for a folder; not used for the
    /// matches of a pattern. At most 255 bytes, without slashes and control characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::NAME_BYTES), regex(pattern = r"^[^\u0000-\u001f\u007f-\u009f/]*$"))]
    pub name: Option<String>,
    /// Format of a test report; a file that cannot be read as one is an artifact error. Without `report`, `.xml` and
    /// `.json` files that begin like reports are read, too. Not for folders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportFormat>,
}

word_enum! {
    /// Problem with a requested artifact. Never fatal for the run.
    ArtifactErrorCode: "one of artifact_collect_failed, file_not_found, path_outside_workspace, test_report_invalid" {
        ArtifactCollectFailed = "artifact_collect_failed",
        FileNotFound = "file_not_found",
        PathOutsideWorkspace = "path_outside_workspace",
        /// The file was collected, but cannot be read as the test report that it is meant to be.
        TestReportInvalid = "test_report_invalid",
    }
}

word_enum! {
    /// Bound of the collection of artifacts that was reached.
    ArtifactBound: "one of artifact_bytes, run_bytes, artifacts, time" {
        /// The bytes of one artifact.
        ArtifactBytes = "artifact_bytes",
        /// The bytes of all artifacts of the run.
        RunBytes = "run_bytes",
        /// The number of artifacts of the run.
        Artifacts = "artifacts",
        /// The time for the collection.
        Time = "time",
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactError {
    pub code: ArtifactErrorCode,
    pub message: String,
    /// Path as requested.
    pub path: String,
    /// The bound that was reached, if that is the reason. Since 1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<ArtifactBound>,
}

/// Bounds of the collection of a run's artifacts. In a plan and in a job, an absent bound is the executor's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactLimits {
    /// Bytes of one artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_bytes: Option<u64>,
    /// Bytes of all artifacts of the run together. Holes of sparse files count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_bytes: Option<u64>,
    /// Artifacts of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<u64>,
    /// Milliseconds for the collection, beside the command's time limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection_ms: Option<u64>,
}

impl ArtifactLimits {
    /// These bounds, and the other ones where these are absent.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            artifact_bytes: self.artifact_bytes.or(other.artifact_bytes),
            run_bytes: self.run_bytes.or(other.run_bytes),
            artifacts: self.artifacts.or(other.artifacts),
            collection_ms: self.collection_ms.or(other.collection_ms),
        }
    }
}

impl ArtifactError {
    /// Texts that are longer than a path and a sentence about it are cut.
    pub fn new(code: ArtifactErrorCode, message: &str, path: &str) -> Self {
        let message = cut(message, limits::PATH_BYTES + limits::SENTENCE_BYTES);
        Self { code, message, path: cut(path, limits::PATH_BYTES), bound: None }
    }
}
