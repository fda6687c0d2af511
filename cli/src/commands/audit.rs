//! `crownest evidence audit`.

use std::process::ExitCode;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use schemas::Timestamp;
use schemas::id::RunId;
use schemas::transparency::checkpoint::Checkpoint;
use schemas::transparency::inclusion::Inclusion;
use schemas::transparency::tile::Resource;
use serde_json::Value;
use verifier::audit::{Finding, Report};

use crate::args::evidence::AuditArgs;
use crate::args::projects::PageArgs;
use crate::args::workspace_runs::ListArgs;
use crate::audit::{self, LogReader, PublicKeys, RunAudit, State};
use crate::client::Client;
use crate::failure::{Failure, Stop};
use crate::output::{Output, Record, field};

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
    let keys = PublicKeys::find(args.keys.as_deref(), client).await?;
    let mut report = Report::default();

    // Runs first, so that every entry that they claim can be in the checkpoint that is fetched then.
    let claims = runs(args, client, &mut report).await?;
    let newest = claims.iter().map(|(_, claimed)| claimed.leaf_index).max();
    let note = fetch_checkpoint(client, newest).await?;
    if note.is_none() && last.is_none() && claims.is_empty() {
        output.note("the evidence log is empty");
    } else {
        match audit::examine(note.as_deref(), last_checkpoint.as_ref(), &keys, client).await? {
            Err(finding) => report.problems.push(finding),
            Ok(checkpoint) => {
                report.saw(&checkpoint);
                report.grown_from = last_checkpoint.as_ref().map(|last| last.tree.size);
                against_log(args, client, &checkpoint, &claims, &mut report).await?;
                // Whatever was found about runs: this is the log that must only grow from here.
                State { audited_at: Timestamp::now(), checkpoint: note.unwrap_or_default() }.write(&path)?;
            }
        }
    }
    report.passed = report.problems.is_empty() && report.not_checked.is_empty();
    let value = serde_json::to_value(&report)
        .map_err(|error| Failure::new("internal_error", format!("the report cannot be written: {error}")))?;
    output.result(&value, |value| readable(value, last.as_ref()))?;
    Ok(match (report.problems.is_empty(), report.not_checked.is_empty()) {
        (true, true) => ExitCode::SUCCESS,
        (true, false) => ExitCode::FAILURE,
        (false, _) => ExitCode::from(FAILED),
    })
}

/// The server's claims about the runs. Runs whose answers contradict each other go into the report.
async fn runs(args: &AuditArgs, client: &Client, report: &mut Report) -> Result<Vec<(RunId, Inclusion)>, Failure> {
    let ended = if args.runs.is_empty() { ended_runs(client).await? } else { named_runs(args, client, report).await? };
    report.runs_checked = ended.len();
    let audits = ended.iter().map(|run| audit::collect(client, run));
    let audits: Vec<RunAudit> = stream::iter(audits).buffered(CONCURRENT_RUNS).collect().await;
    let mut claims = Vec::new();
    for audit in audits {
        match audit {
            RunAudit::Claimed { run, inclusion } => claims.push((run, *inclusion)),
            RunAudit::Problem(finding) => report.problems.push(finding),
            RunAudit::NotChecked(finding) => report.not_checked.push(finding),
        }
    }
    Ok(claims)
}

/// A run is shown as ended only once its evidence is durable.
fn has_ended(run: &Value) -> bool {
    matches!(run["status"].as_str(), Some("succeeded" | "failed" | "canceled"))
}

async fn ended_runs(client: &Client) -> Result<Vec<RunId>, Failure> {
    let page = PageArgs { all: true, ..PageArgs::default() };
    let listed = client.runs(&ListArgs { page, ..ListArgs::default() }).await?;
    let ids = listed.items.iter().filter(|run| has_ended(run)).map(|run| field(run, "id").parse::<RunId>());
    ids.collect::<Result<_, _>>().map_err(|error| Failure::invalid_answer(format!("expected runs: {error}")))
}

async fn named_runs(args: &AuditArgs, client: &Client, report: &mut Report) -> Result<Vec<RunId>, Failure> {
    let mut ended = Vec::new();
    for id in &args.runs {
        match client.run(id).await {
            Ok(run) if has_ended(&run) => ended.push(id.clone()),
            Ok(_) => report.not_checked.push(Finding::of(id, "not_ended", "the run has not ended yet")),
            Err(failure) if failure.code == "not_found" => {
                let message = "this run does not exist any more, or the key may not see it";
                report.problems.push(Finding::of(id, "run_missing", message));
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(ended)
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
    claims: &[(RunId, Inclusion)],
    report: &mut Report,
) -> Result<(), Failure> {
    let mut log = LogReader::new(client, checkpoint.tree);
    for (run, claimed) in claims {
        report.problems.extend(audit::prove(&mut log, run, claimed).await?);
    }
    if args.full {
        report.problems.extend(audit::read_all(client, checkpoint.tree).await?);
        report.entries_read = Some(checkpoint.tree.size);
    }
    Ok(())
}

fn readable(report: &Value, last: Option<&State>) -> String {
    let mut record = Record::default();
    record.line("log", &field(report, "logOrigin"));
    record.line("entries", &field(report, "treeSize"));
    record.line("root hash", &field(report, "rootHash"));
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
        (0, 0) => "passed: everything is as it was logged".to_owned(),
        (0, open) => format!("incomplete: {open} could not be checked"),
        (problems, _) => format!("FAILED: {problems} changed or removed"),
    };
    record.line("result", &result).to_string()
}
