//! `crownest evidence audit`.

use std::process::ExitCode;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use schemas::Timestamp;
use schemas::id::{ProjectId, RunId};
use schemas::transparency::checkpoint::Checkpoint;
use schemas::transparency::inclusion::Inclusion;
use schemas::transparency::tile::Resource;
use serde_json::Value;
use verifier::audit::{Finding, Report};
use verifier::evidence::Trust;

use super::evidence_verify::EXIT_CONSISTENT;
use crate::args::evidence::AuditArgs;
use crate::args::projects::PageArgs;
use crate::args::workspace_runs::ListArgs;
use crate::audit::{self, LogReader, Remembered, RunAudit, State};
use crate::client::Client;
use crate::failure::{Failure, Stop};
use crate::output::{Output, Record, field};
use crate::trusted_keys;

/// Exit code if something was changed or removed.
const FAILED: u8 = 3;
const CONCURRENT_RUNS: usize = 4;
/// Longest lag of the served checkpoint behind a proof that was just given.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(500);

pub(crate) async fn run(args: &AuditArgs, client: &Client, output: &mut Output) -> Result<ExitCode, Stop> {
    let path = match &args.state {
        Some(path) => path.clone(),
        None => State::default_path(&client.connection().api_url).ok_or_else(|| {
            Failure::new("not_configured", "there is no home folder for the state").hint("Name a file with --state.")
        })?,
    };
    let last = State::read(&path)?;
    let last_checkpoint = last.as_ref().map(|state| state.checkpoint(&path)).transpose()?;
    let trust = trust(args, client).await?;
    let keys: Vec<[u8; 32]> = trust.keys.iter().map(|key| *key.bytes()).collect();
    let mut report = Report { keys_from: trust.source, keys_named: trust.named, ..Report::default() };

    // Runs first, so that every entry that they claim can be in the checkpoint that is fetched then.
    let mut remembered = last.as_ref().map(|last| last.runs.clone()).unwrap_or_default();
    let mut seen = runs(args, client, &mut remembered, &mut report).await?;
    let newest = seen.claims.iter().map(|(_, claimed)| claimed.leaf_index).max();
    let note = fetch_checkpoint(client, newest).await?;
    if note.is_none() && last.is_none() && seen.claims.is_empty() {
        output.note("the evidence log is empty");
        report.problems.extend(seen.missing.iter().map(gone));
    } else {
        match audit::examine(note.as_deref(), last_checkpoint.as_ref(), &keys, client).await? {
            Err(finding) => {
                report.problems.extend(seen.missing.iter().map(gone));
                report.problems.push(finding);
            }
            Ok(checkpoint) => {
                report.saw(&checkpoint);
                report.grown_from = last_checkpoint.as_ref().map(|last| last.tree.size);
                against_log(args, client, &checkpoint, &mut seen, &mut report).await?;
                // Whatever was found about runs: this is the log that must only grow from here.
                let checkpoint = note.unwrap_or_default();
                State { audited_at: Timestamp::now(), checkpoint, runs: remembered }.write(&path)?;
            }
        }
    }
    let nothing_found = report.problems.is_empty() && report.not_checked.is_empty();
    report.passed = nothing_found && report.keys_named;
    let value = serde_json::to_value(&report)
        .map_err(|error| Failure::new("internal_error", format!("the report cannot be written: {error}")))?;
    output.result(&value, |value| readable(value, last.as_ref()))?;
    Ok(match (report.problems.is_empty(), report.not_checked.is_empty()) {
        (true, true) if report.keys_named => ExitCode::SUCCESS,
        (true, true) => ExitCode::from(EXIT_CONSISTENT),
        (true, false) => ExitCode::FAILURE,
        (false, _) => ExitCode::from(FAILED),
    })
}

/// The keys that the user named, or those that the API publishes.
async fn trust(args: &AuditArgs, client: &Client) -> Result<Trust, Failure> {
    if let Some(named) = trusted_keys::named(args.keys.as_deref())? {
        return Ok(named);
    }
    let api = client.connection().api_url.to_string();
    let keys = trusted_keys::of_text(&api, &client.public_keys().await?)?;
    Ok(trusted_keys::unnamed(keys, &format!("{api}, which published them now")))
}

/// The server's word about the runs.
struct Seen {
    /// Its claims, which the log is still to be asked about.
    claims: Vec<(RunId, Inclusion)>,
    /// Runs that should be there, and are not.
    missing: Vec<RunId>,
}

fn gone(run: &RunId) -> Finding {
    Finding::of(run, "run_missing", "this run does not exist any more, or the key may not see it")
}

/// Asks for the runs. Those whose answers contradict each other go into the report; those that fit are remembered.
async fn runs(
    args: &AuditArgs,
    client: &Client,
    remembered: &mut Remembered,
    report: &mut Report,
) -> Result<Seen, Failure> {
    let (ended, missing) = if args.runs.is_empty() {
        let ended = ended_runs(client).await?;
        let missing = forgotten_runs(client, &ended, remembered).await?;
        (ended, missing)
    } else {
        named_runs(args, client, report).await?
    };
    report.runs_checked = ended.len();
    let audits = ended.keys().map(|run| audit::collect(client, run));
    let audits: Vec<RunAudit> = stream::iter(audits).buffered(CONCURRENT_RUNS).collect().await;
    let mut claims = Vec::new();
    for audit in audits {
        match audit {
            RunAudit::Claimed { run, inclusion } => claims.push((run, *inclusion)),
            RunAudit::Problem(finding) => report.problems.push(finding),
            RunAudit::NotChecked(finding) => report.not_checked.push(finding),
        }
    }
    let fitting = claims.iter().filter_map(|(run, _)| ended.get_key_value(run));
    remembered.extend(fitting.map(|(run, project)| (run.clone(), project.clone())));
    Ok(Seen { claims, missing })
}

/// Runs of earlier audits that are in no list now, although this key sees their projects.
async fn forgotten_runs(client: &Client, ended: &Remembered, remembered: &Remembered) -> Result<Vec<RunId>, Failure> {
    let mut unlisted = remembered.iter().filter(|(run, _)| !ended.contains_key(run)).peekable();
    if unlisted.peek().is_none() {
        return Ok(Vec::new());
    }
    let projects = client.projects(&PageArgs { all: true, ..PageArgs::default() }).await?.items;
    let is_visible = |project: &ProjectId| projects.iter().any(|visible| visible["id"] == *project.as_str());
    Ok(unlisted.filter(|(_, project)| is_visible(project)).map(|(run, _)| run.clone()).collect())
}

/// A run is shown as ended only once its evidence is durable.
fn has_ended(run: &Value) -> bool {
    matches!(run["status"].as_str(), Some("succeeded" | "failed" | "canceled"))
}

async fn ended_runs(client: &Client) -> Result<Remembered, Failure> {
    let page = PageArgs { all: true, ..PageArgs::default() };
    let listed = client.runs(&ListArgs { page, ..ListArgs::default() }).await?;
    listed.items.iter().filter(|run| has_ended(run)).map(identity).collect()
}

fn identity(run: &Value) -> Result<(RunId, ProjectId), Failure> {
    let unexpected = || Failure::invalid_answer("expected runs with `id` and `projectId`");
    let id = field(run, "id").parse().map_err(|_| unexpected())?;
    Ok((id, field(run, "projectId").parse().map_err(|_| unexpected())?))
}

/// The ended ones of the runs that the user named, and those that are missing.
async fn named_runs(
    args: &AuditArgs,
    client: &Client,
    report: &mut Report,
) -> Result<(Remembered, Vec<RunId>), Failure> {
    let (mut ended, mut missing) = (Remembered::new(), Vec::new());
    for id in &args.runs {
        match client.run(id).await {
            Ok(run) if has_ended(&run) => ended.extend([identity(&run)?]),
            Ok(_) => report.not_checked.push(Finding::of(id, "not_ended", "the run has not ended yet")),
            Err(failure) if failure.code == "not_found" => missing.push(id.clone()),
            Err(failure) => return Err(failure),
        }
    }
    Ok((ended, missing))
}

/// The latest checkpoint; `None` if the log has none. Waits for a checkpoint that covers this entry.
async fn fetch_checkpoint(client: &Client, newest: Option<u64>) -> Result<Option<String>, Failure> {
    let begun = std::time::Instant::now();
    loop {
        let note = match client.log_resource(Resource::Checkpoint).await {
            Ok(note) => Some(String::from_utf8_lossy(&note).into_owned()),
            Err(failure) if failure.status == Some(404) => None,
            Err(failure) => return Err(failure),
        };
        let size = note.as_ref().and_then(|note| Checkpoint::unverified(note).ok()).map_or(0, |found| found.tree.size);
        if newest.is_none_or(|newest| newest < size) || begun.elapsed() > PUBLISHED_WITHIN {
            return Ok(note);
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn against_log(
    args: &AuditArgs,
    client: &Client,
    checkpoint: &Checkpoint,
    seen: &mut Seen,
    report: &mut Report,
) -> Result<(), Failure> {
    let mut log = LogReader::new(client, checkpoint.tree);
    for (run, claimed) in &seen.claims {
        report.problems.extend(audit::prove(&mut log, run, claimed).await?);
    }
    if args.full || !seen.missing.is_empty() {
        let missing = std::mem::take(&mut seen.missing);
        report.problems.extend(audit::read_all(client, checkpoint.tree, missing).await?);
        report.entries_read = Some(checkpoint.tree.size);
    }
    Ok(())
}

fn readable(report: &Value, last: Option<&State>) -> String {
    let mut record = Record::default();
    record.line("log", &field(report, "logOrigin"));
    record.line("entries", &field(report, "treeSize"));
    record.line("root hash", &field(report, "rootHash"));
    record.line("keys from", &field(report, "keysFrom"));
    if let (Some(last), Some(from)) = (last, report["grownFrom"].as_u64()) {
        record.line("history", &format!("begins with the {from} entries of the audit of {}", last.audited_at));
    } else if report["logOrigin"].is_string() {
        record.line("history", "the first audit here: nothing to compare with yet");
    }
    record.line("runs", &field(report, "runsChecked"));
    if report["entriesRead"].is_u64() {
        record.line("read", "every entry");
    }
    for (label, name) in [("PROBLEM", "problems"), ("not checked", "notChecked")] {
        for finding in report[name].as_array().into_iter().flatten() {
            let run = field(finding, "workspaceRunId");
            let place = if run.is_empty() { String::new() } else { format!("{run}: ") };
            record.line(label, &format!("{place}{} ({})", field(finding, "message"), field(finding, "code")));
        }
    }
    let count = |name: &str| report[name].as_array().map_or(0, Vec::len);
    let result = match (count("problems"), count("notChecked")) {
        (0, 0) if report["keysNamed"] == false => {
            "CONSISTENT, BUT NOT PASSED: everything fits together, and nobody you named has signed the log".to_owned()
        }
        (0, 0) => "passed: everything is as it was logged".to_owned(),
        (0, open) => format!("incomplete: {open} could not be checked"),
        (problems, _) => format!("FAILED: {problems} changed or removed"),
    };
    record.line("result", &result).to_string()
}
