//! `crownest evidence …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use schemas::id::RunId;

use super::evidence_diff::{DIFF_HELP, DiffArgs};
use super::evidence_verify::{EXPORT_HELP, ExportArgs, TRUST_HELP, TrustArgs, VERIFY_HELP, VerifyArgs};

const AUDIT_HELP: &str = "\
Every sealed run has an entry in an append-only log with signed checkpoints. This checks that the latest checkpoint is \
signed, that the log only grew since the last audit on this machine, and that the evidence which is served now is the \
one that was logged: for every run that the key may see, or for those given by --run. Nothing is believed that does \
not follow from the signed checkpoint. Whose signature counts is your decision: see `crownest evidence trust --help`.

Runs that an audit has found in the log are remembered. A run that is not there any more at the next audit was removed.

Exit codes: 0 all is as it was logged, 4 the same, and nobody you named has signed the log, 3 something was changed or \
removed, 1 something could not be checked.

Examples:
  crownest evidence audit
  crownest evidence audit --run wsr_… --json
  crownest evidence audit --full --state /var/lib/audit/crownest.json";

#[derive(Debug, Subcommand)]
pub(crate) enum EvidenceCommand {
    /// Check that no Evidence Bundle was changed or removed since it was sealed
    #[command(after_help = AUDIT_HELP)]
    Audit(AuditArgs),
    /// Check that evidence is what was sealed and signed, byte for byte
    #[command(after_help = VERIFY_HELP)]
    Verify(VerifyArgs),
    /// Choose whose signatures count
    #[command(after_help = TRUST_HELP)]
    Trust(TrustArgs),
    /// Write everything that is needed to verify a run offline into a folder
    #[command(after_help = EXPORT_HELP)]
    Export(ExportArgs),
    /// Compare two runs by their evidence
    #[command(after_help = DIFF_HELP)]
    Diff(DiffArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Check this run only; may be repeated [default: every ended run that the key may see]
    #[arg(long = "run", value_name = "WSR_ID")]
    pub runs: Vec<RunId>,
    /// Read every entry of the log too: they must have its root hash, and no two may be about one run
    #[arg(long)]
    pub full: bool,
    /// Remembers the checkpoint of the last audit
    /// [default: crownest/audit-HOST.json under $XDG_STATE_HOME or ~/.local/state]
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Public keys that you trust, as a JWK set [default: those that `crownest evidence trust` pinned]
    #[arg(long, value_name = "FILE", env = "CROWNEST_TRUSTED_KEYS", hide_env_values = true)]
    pub keys: Option<PathBuf>,
}
