//! `crownest evidence verify`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use schemas::id::RunId;
use serde_json::Value;
use verifier::evidence::{Report, Status, Subject, Trust, verify};
use verifier::names;

use crate::args::connection::ConnectionArgs;
use crate::args::evidence_diff::EvidenceSource;
use crate::args::evidence_verify::VerifyArgs;
use crate::client::Client;
use crate::evidence_file;
use crate::evidence_folder::EvidenceFolder;
use crate::export;
use crate::failure::{Failure, Stop};
use crate::output::{Output, escape, field};
use crate::trusted_keys;

/// Exit code if something is not what was sealed.
const EXIT_FAILED: u8 = 3;
/// Exit code if everything fits together, and nobody whom the user named has signed it.
pub(super) const EXIT_CONSISTENT: u8 = 4;
/// Checks of one kind that came out well, and are listed one by one.
const LISTED: usize = 4;

pub(crate) async fn run(args: &VerifyArgs, api: &ConnectionArgs, output: &mut Output) -> Result<ExitCode, Stop> {
    let offline = match (&args.offline, &args.source) {
        (Some(folder), _) => Some(folder.clone()),
        (None, EvidenceSource::File(path)) if path.is_dir() => Some(path.clone()),
        (None, _) => None,
    };
    let fetched;
    let (folder, published_by) = if let Some(folder) = offline {
        (folder, None)
    } else {
        let client = Client::connect(api)?;
        fetched = tempfile::Builder::new()
            .prefix("crownest-verify-")
            .tempdir()
            .map_err(|error| Failure::file("create a folder in", &std::env::temp_dir(), &error))?;
        let id = match &args.source {
            EvidenceSource::Run(id) => id.clone(),
            EvidenceSource::File(path) => run_of(&evidence_file::read(path)?, path)?,
        };
        let evidence = super::evidence::fetch(&id, &client).await?;
        export::fetch(&client, &id, &evidence, fetched.path(), !args.without_artifacts).await?;
        (fetched.path().to_owned(), Some(client.connection().api_url.to_string()))
    };
    let evidence = match &args.source {
        EvidenceSource::File(path) if !path.is_dir() => path.clone(),
        _ => folder.join(names::EVIDENCE),
    };
    let named = match &args.source {
        EvidenceSource::Run(id) => Some(id),
        EvidenceSource::File(_) => None,
    };
    let work = Work {
        evidence,
        trust: trust(args.keys.as_deref(), &folder, published_by.as_deref())?,
        files: EvidenceFolder { folder, archive: args.archive.clone() },
        with_artifacts: !args.without_artifacts,
    };
    let report = work.done().await?;
    if let (Some(named), Some(found)) = (named, &report.workspace_run_id)
        && named != found
    {
        let message = format!("the evidence in the folder is that of {found}, expected {named}");
        return Err(Failure::new("invalid_evidence", message).into());
    }
    show(&report, output)
}

/// A verification that can be done on another thread.
pub(super) struct Work {
    pub evidence: PathBuf,
    pub files: EvidenceFolder,
    pub trust: Option<Trust>,
    pub with_artifacts: bool,
}

impl Work {
    pub(super) async fn done(self) -> Result<Report, Failure> {
        let bytes = evidence_file::bytes(&self.evidence)?;
        let verified = tokio::task::spawn_blocking(move || {
            verify(&Subject {
                evidence: &bytes,
                files: &self.files,
                trust: self.trust,
                with_artifacts: self.with_artifacts,
            })
        });
        verified.await.map_err(|error| Failure::new("internal_error", format!("the verification ended early: {error}")))
    }
}

fn run_of(evidence: &Value, path: &Path) -> Result<RunId, Failure> {
    field(evidence, "workspaceRunId").parse().map_err(|_| {
        let message = format!("{}: expected an Evidence Bundle with its `workspaceRunId`", path.display());
        Failure::new("invalid_evidence", message)
    })
}

/// The keys that the user named, or those that came with the evidence.
pub(super) fn trust(file: Option<&Path>, folder: &Path, published_by: Option<&str>) -> Result<Option<Trust>, Failure> {
    if let Some(named) = trusted_keys::named(file)? {
        return Ok(Some(named));
    }
    let beside = folder.join(names::KEYS);
    if !beside.exists() {
        return Ok(None);
    }
    let source = match published_by {
        Some(api) => format!("{api}, which published them now"),
        None => format!("{} beside the evidence", names::KEYS),
    };
    Ok(Some(trusted_keys::unnamed(trusted_keys::of_file(&beside)?, &source)))
}

pub(super) fn show(report: &Report, output: &mut Output) -> Result<ExitCode, Stop> {
    let mut value = serde_json::to_value(report)
        .map_err(|error| Failure::new("internal_error", format!("the report cannot be written: {error}")))?;
    value["result"] = match report.result() {
        Status::Failed => "failed".into(),
        Status::NotChecked => "incomplete".into(),
        Status::Consistent => "consistent".into(),
        Status::Verified | Status::Absent => "verified".into(),
    };
    output.result(&value, |_| readable(report))?;
    Ok(match report.result() {
        Status::Failed => ExitCode::from(EXIT_FAILED),
        Status::NotChecked => ExitCode::FAILURE,
        Status::Consistent => ExitCode::from(EXIT_CONSISTENT),
        Status::Verified | Status::Absent => ExitCode::SUCCESS,
    })
}

/// The end of a key: the folder is the same for all.
fn within_run(key: &str) -> &str {
    key.split_once("/run=").and_then(|(_, rest)| rest.split_once('/')).map_or(key, |(_, name)| name)
}

fn readable(report: &Report) -> String {
    let mut lines = Vec::new();
    if let Some(run) = &report.workspace_run_id {
        lines.push(format!("run          {run}"));
    }
    if let Some(sha256) = &report.evidence_sha256 {
        lines.push(format!("evidence     SHA-256 {sha256}"));
    }
    if let Some(source) = &report.keys_from {
        lines.push(format!("keys from    {source}"));
    }
    let (mut shown, mut left_out) = (0, 0);
    for (at, check) in report.checks.iter().enumerate() {
        let begins = at == 0 || report.checks[at - 1].name != check.name;
        shown = if begins { 0 } else { shown };
        if matches!(check.status, Status::Verified | Status::Consistent) {
            shown += 1;
            if shown > LISTED {
                left_out += 1;
                continue;
            }
        }
        let word = match check.status {
            Status::Verified => "verified",
            Status::Consistent => "consistent",
            Status::Failed => "FAILED",
            Status::NotChecked => "not checked",
            Status::Absent => "-",
        };
        let about = check.name.replace('_', " ");
        let subject = check.subject.as_ref().map(|subject| format!(" ({})", within_run(subject))).unwrap_or_default();
        lines.push(format!("{word:<12} {about}: {}{subject}", check.message));
    }
    if left_out > 0 {
        let word = if report.result() == Status::Consistent { "consistent" } else { "verified" };
        lines.push(format!("{word:<12} {left_out} more of the same kinds"));
    }
    lines.push(match report.result() {
        Status::Failed => format!("result       FAILED: {} not what was sealed", report.count(Status::Failed)),
        Status::NotChecked => {
            format!("result       incomplete: {} could not be checked", report.count(Status::NotChecked))
        }
        Status::Consistent => "result       CONSISTENT, BUT NOT VERIFIED: everything here fits together, and nobody you named has \
                               signed it. Anybody could have made it. Name keys that you trust with --keys, or pin those of \
                               your installation once with `crownest evidence trust`."
            .to_owned(),
        Status::Verified | Status::Absent => "result       verified: everything here is what was sealed".to_owned(),
    });
    lines.iter().map(|line| format!("{}\n", escape::line(line))).collect()
}
