//! `crownest evidence verify` and `export`.

use std::path::PathBuf;

use clap::Args;
use schemas::id::RunId;

use super::evidence_diff::EvidenceSource;

pub(crate) const VERIFY_HELP: &str = "\
Checks, and says in words what was checked and what was not: the shape of the bundle, the signatures (DSSE, in-toto), that the \
signed statement is about exactly this bundle, every part of the event log by its digest, the Merkle root, the numbers \
of the events, every artifact, provenance, and that the evidence log has the bundle. Missing pieces are fetched from the \
API, unless --offline names their folder.

Exit codes: 0 everything is what was sealed, 3 something is not, 1 something could not be checked, 2 usage.

Examples:
  crownest evidence verify wsr_…
  crownest evidence verify evidence.json
  crownest evidence export wsr_… saved && crownest evidence verify saved --keys trusted.json
  crownest evidence verify evidence.json --offline saved --archive repo.tgz --json";

pub(crate) const EXPORT_HELP: &str = "\
Writes evidence.json (the sealed bytes), the signed statements, the event log, the artifacts, the proof that the evidence \
log has it, and the public keys: all that `crownest evidence verify DIR` needs without a network, years later. The folder \
is verified immediately; exit codes are those of `verify`.

Examples:
  crownest evidence export wsr_… ./evidence-of-the-release
  crownest evidence export wsr_… saved --without-artifacts";

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// A run: its id, a file with its evidence, or a folder that `export` wrote
    #[arg(value_name = "RUN")]
    pub source: EvidenceSource,
    /// Folder with everything else, as `export` writes it; nothing is fetched
    #[arg(long, value_name = "DIR")]
    pub offline: Option<PathBuf>,
    /// Public keys that are trusted, as a JWK set [default: those that the API publishes; offline jwks.json of the folder]
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,
    /// Archive to compare with the one that the run was given
    #[arg(long, value_name = "FILE")]
    pub archive: Option<PathBuf>,
    /// Leave artifacts out, which are reported as not checked
    #[arg(long)]
    pub without_artifacts: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[arg(value_name = "WSR_ID")]
    pub id: RunId,
    /// Folder to write; it must be empty or not exist
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Leave artifacts out, which are reported as not checked
    #[arg(long)]
    pub without_artifacts: bool,
}
