//! `crownest admin legal-hold …`.

use clap::{Args, Subcommand};
use ingest::admin::HoldSubject;

#[derive(Debug, Subcommand)]
pub(crate) enum LegalHoldCommand {
    /// Hold a run, or all runs of a project: nothing of them is deleted, by retention or by clients
    #[command(after_help = "\
When this returns, no deletion is under way any more. What is deleted already comes back only in so far as its bytes are
still in the store: they stay. Of a project, runs that come later are held, too.
Where collectors lock objects (--object-lock-mode), the store gets the hold within seconds, for all objects of sealed runs:
`list` counts those runs. Setting a hold again sets it in the store again.

Examples:
  crownest admin legal-hold set wsr_… --reason 'case 4711'
  crownest admin legal-hold set prj_… --reason 'audit of 2026' --by 'J. Doe'")]
    Set(HoldChange),
    /// Let retention and clients delete again
    Clear(HoldChange),
    /// List what is held, the latest first
    List,
    /// List who set and cleared what, and why, the latest first; nothing of it is ever removed
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
