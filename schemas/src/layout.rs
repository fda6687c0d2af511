//! Keys of objects in the bucket, specified in `docs/reference/formats.md`. Keys of the tables are made in
//! `lake/file.rs`, keys of the evidence log in `transparency/tile.rs`.

use std::fmt::Display;

use crate::id::{OrgId, ProjectId, RunId};

/// Names within the folder of a run.
pub const EVIDENCE: &str = "evidence.json";
pub const ATTESTATION: &str = "attestation.dsse.json";
pub const PROVENANCE: &str = "provenance.dsse.json";
pub const TEST_RESULT: &str = "test-result.dsse.json";

/// Folder of a run; `date` is the UTC day of its creation, `YYYY-MM-DD`.
pub fn run_folder(org: &OrgId, project: &ProjectId, date: &impl Display, run: &RunId) -> String {
    format!("runs/org={org}/project={project}/date={date}/run={run}")
}

/// Name of a part of the event log in that folder.
pub fn event_log_part(number: usize) -> String {
    format!("events-{number:05}.ndjson.zst")
}

/// Key of an archive. Each organization has its own copy, and learns nothing about the archives of others.
pub fn archive(org: &OrgId, sha256: &str) -> String {
    format!("archives/{org}/{sha256}.tgz")
}
