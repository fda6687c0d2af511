//! `crownest workspace-runs evidence`.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use schemas::id::RunId;
use serde_json::Value;

use crate::args::workspace_runs::EvidenceArgs;
use crate::atomic_file::AtomicFile;
use crate::client::Client;
use crate::failure::{Failure, Stop};
use crate::output::{Output, field};

const FIRST_POLL: Duration = Duration::from_millis(250);
const SLOWEST_POLL: Duration = Duration::from_secs(5);

pub(super) async fn run(args: &EvidenceArgs, client: &Client, output: &mut Output) -> Result<ExitCode, Stop> {
    let mut delay = FIRST_POLL;
    let evidence = loop {
        match fetch(&args.id, client).await {
            Err(failure) if args.wait && failure.code == "evidence_not_ready" => {
                tokio::time::sleep(delay).await;
                delay = (delay * 2).min(SLOWEST_POLL);
            }
            result => break result?,
        }
    };
    match &args.output {
        Some(path) => save(&evidence, path)?,
        None => output.json_line(&evidence)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The API says `not_found` for a run that does not exist and for one without evidence yet; here they differ.
pub(super) async fn fetch(id: &RunId, client: &Client) -> Result<Value, Failure> {
    let missing = match client.evidence(id).await {
        Err(failure) if failure.code == "not_found" => failure,
        result => return result,
    };
    let run = client.run(id).await?;
    let status = field(&run, "status");
    let mut failure = Failure::new("evidence_not_ready", format!("{id} is `{status}` and has no evidence yet"))
        .retryable()
        .hint("Evidence is written when a run has ended: try again later, or pass --wait.");
    failure.status = missing.status;
    Err(failure)
}

fn save(evidence: &Value, path: &Path) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(evidence)
        .map_err(|error| Failure::new("internal_error", format!("the evidence cannot be written: {error}")))?;
    let mut file = AtomicFile::create(path, 0o666)?;
    file.write(text.as_bytes())?;
    file.write(b"\n")?;
    file.finish()
}
