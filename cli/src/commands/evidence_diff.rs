//! `crownest evidence diff`: two runs side by side.

mod cases;
mod compare;
mod readable;
mod reports;

use std::process::ExitCode;

use serde_json::Value;

use self::compare::Comparison;
use crate::args::connection::ConnectionArgs;
use crate::args::evidence_diff::{DiffArgs, EvidenceSource};
use crate::client::Client;
use crate::evidence_file;
use crate::failure::{Failure, Stop};
use crate::output::{Output, field};

/// The runs were compared, and their results differ: neither success nor an error.
const EXIT_DIFFERENT: u8 = 3;

pub(crate) async fn run(args: &DiffArgs, api: &ConnectionArgs, output: &mut Output) -> Result<ExitCode, Stop> {
    let is_run = |source: &EvidenceSource| matches!(source, EvidenceSource::Run(_));
    // Two files need no API.
    let client = if is_run(&args.a) || is_run(&args.b) { Some(Client::connect(api)?) } else { None };
    let a = load(&args.a, client.as_ref()).await?;
    let b = load(&args.b, client.as_ref()).await?;
    let mut comparison = Comparison::of(&a, &b);
    if comparison.tests.is_some() {
        let both = reports::cases_of_both(&a, &b, client.as_ref()).await;
        comparison.set_cases(both.map(|(a, b)| cases::compare(&a, &b)));
    }
    let value = serde_json::to_value(&comparison)
        .map_err(|error| Failure::new("internal_error", format!("the comparison cannot be written: {error}")))?;
    output.result(&value, |_| readable::text(&comparison))?;
    Ok(if comparison.same_result { ExitCode::SUCCESS } else { ExitCode::from(EXIT_DIFFERENT) })
}

async fn load(source: &EvidenceSource, client: Option<&Client>) -> Result<Value, Failure> {
    let (evidence, name) = match (source, client) {
        (EvidenceSource::Run(id), Some(client)) => (super::evidence::fetch(id, client).await?, id.to_string()),
        (EvidenceSource::Run(id), None) => return Err(Failure::new("internal_error", format!("no API for {id}"))),
        (EvidenceSource::File(path), _) => (evidence_file::read(path)?, path.display().to_string()),
    };
    let version = field(&evidence, "schemaVersion");
    if version.split('.').next() != Some("1") {
        let message = format!("{name}: expected an Evidence Bundle of version 1, got `{version}`");
        return Err(Failure::new("invalid_evidence", message)
            .hint("Files are written by `crownest workspace-runs evidence wsr_… --output FILE`."));
    }
    Ok(evidence)
}
