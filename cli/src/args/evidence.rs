//! `crownest evidence …`.

use clap::Subcommand;

use super::evidence_diff::{DIFF_HELP, DiffArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum EvidenceCommand {
    /// Compare two runs by their evidence
    #[command(after_help = DIFF_HELP)]
    Diff(DiffArgs),
}
