//! `crownest evidence diff`.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use schemas::id::RunId;

pub(crate) const DIFF_HELP: &str = "\
Shows how B differs from A: outcome, tests, time, resources, artifacts and environment. Tests are compared one by one if \
both runs have reports, and one of the runs is given by its id, so that there is an API to fetch the reports from.

Exit codes: 0 outcome, exit code and tests are the same, 3 they differ, 1 the runs could not be compared.

Examples:
  crownest evidence diff wsr_… wsr_…
  crownest evidence diff before.json wsr_… --json | jq .data.tests.cases.newlyFailing";

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// A run: its id, or a file with its evidence
    #[arg(value_name = "A")]
    pub a: EvidenceSource,
    /// Another one
    #[arg(value_name = "B")]
    pub b: EvidenceSource,
}

/// The source of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EvidenceSource {
    Run(RunId),
    File(PathBuf),
}

impl FromStr for EvidenceSource {
    type Err = Infallible;

    /// Anything that is not an id is a file; a file with the name of an id is `./wsr_…`.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.parse().map_or_else(|_| Self::File(text.into()), Self::Run))
    }
}
