//! `crownest evidence …`.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};
use schemas::id::RunId;

#[derive(Debug, Subcommand)]
pub(crate) enum EvidenceCommand {
    /// Compare two runs by their evidence
    #[command(after_help = "\
Compares outcome, tests, time, resources, artifacts and environment. Test by test if both runs have reports and one of \
them is given by its id, so that there is an API to fetch the reports from.
Exits with 0 if outcome, exit code and test results are the same, and with 1 if not.

Examples:
  crownest evidence diff wsr_… wsr_…
  crownest evidence diff before.json wsr_… --json | jq .data.tests.cases.newlyFailing")]
    Diff(DiffArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The run to compare with: its id, or a file with its evidence
    #[arg(value_name = "WSR_ID|FILE")]
    pub a: EvidenceSource,
    /// The run to compare: its id, or a file with its evidence
    #[arg(value_name = "WSR_ID|FILE")]
    pub b: EvidenceSource,
}

/// Where a bundle comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EvidenceSource {
    Run(RunId),
    File(PathBuf),
}

impl FromStr for EvidenceSource {
    type Err = Infallible;

    /// What is no id is a file; a file with the name of an id is `./wsr_…`.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.parse().map_or_else(|_| Self::File(text.into()), Self::Run))
    }
}
