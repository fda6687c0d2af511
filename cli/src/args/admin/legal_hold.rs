//! `crownest admin legal-hold …`.

use clap::{Args, Subcommand};
use ingest::admin::HoldSubject;

#[derive(Debug, Subcommand)]
pub(crate) enum LegalHoldCommand {
    /// Hold a run, or all runs of a project: neither retention nor clients delete any of it
    #[command(after_help = "\
When this returns, no deletion is in progress any more. Artifacts that were deleted before come back only if their bytes are
still in the store: those bytes stay. A hold on a project also covers its later runs.
Where collectors lock objects (--object-lock-mode), the store gets the hold within seconds, for all objects of sealed runs:
`list` counts those runs. Setting a hold again sets it in the store again.

Examples:
  crownest admin legal-hold set wsr_… --reason 'case 4711'
  crownest admin legal-hold set prj_… --reason 'audit of 2026' --by 'J. Doe'")]
    Set(HoldChange),
    /// Let retention and clients delete again
    Clear(HoldChange),
    /// List the holds, latest first
    List,
    /// List who set and cleared which hold, and why, latest first; entries are never removed
    History,
}

#[derive(Debug, Args)]
pub(crate) struct HoldChange {
    #[arg(value_name = "WSR_ID|PRJ_ID")]
    pub subject: HoldSubject,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Who, for the record [default: the user of this command]
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
}
