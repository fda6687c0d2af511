//! `crownest evidence verify`, `export` and `trust`.

use std::path::PathBuf;

use clap::Args;
use schemas::id::RunId;

use super::evidence_diff::EvidenceSource;

pub(crate) const VERIFY_HELP: &str = "\
Checks, and says in words what was checked and what was not: the shape of the bundle, the signatures (DSSE, in-toto), that the \
signed statement is about exactly this bundle, every part of the event log by its digest, the Merkle root, the numbers \
of the events, every artifact, provenance, and that the evidence log has the bundle. Missing pieces are fetched from the \
API, unless --offline names their folder.

Whose signature counts is your decision: the keys of --keys, or those that you pinned with `crownest evidence trust`. Keys that \
came with the evidence, or from whoever served it, show only that everything fits together.

Exit codes: 0 everything is what was sealed, 4 everything fits together, and nobody you named has signed it, 3 something \
is not what was sealed, 1 something could not be checked, 2 usage.

Examples:
  crownest evidence verify wsr_…
  crownest evidence verify evidence.json
  crownest evidence export wsr_… saved && crownest evidence verify saved --keys trusted.json
  crownest evidence verify evidence.json --offline saved --archive repo.tgz --json";

pub(crate) const EXPORT_HELP: &str = "\
Writes evidence.json (the sealed bytes), the signed statements, the event log, the artifacts, the proof that the evidence \
log has it, and the public keys: all that `crownest evidence verify DIR` needs without a network, years later. The folder \
is verified immediately; exit codes are those of `verify`. Whoever verifies it later must have the public keys from \
elsewhere: `crownest evidence trust` keeps them.

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
    /// Public keys that you trust, as a JWK set [default: those that `crownest evidence trust` pinned]
    #[arg(long, value_name = "FILE", env = "CROWNEST_TRUSTED_KEYS", hide_env_values = true)]
    pub keys: Option<PathBuf>,
    /// Archive to compare with the one that the run was given
    #[arg(long, value_name = "FILE")]
    pub archive: Option<PathBuf>,
    /// Leave artifacts out, which are reported as not checked
    #[arg(long)]
    pub without_artifacts: bool,
}

pub(crate) const TRUST_HELP: &str = "\
Pins the keys that the API publishes now, or those in a file. From then on, `verify`, `export` and `audit` believe the \
signatures of these keys alone. The first keys of an API are taken at its word: compare their ids with what its operator tells you \
in another way. Keys that it publishes later are refused until you say --add.

The pinned keys are in crownest/trusted-keys.json under $XDG_CONFIG_HOME (or ~/.config), a JWK set that --keys takes too.

Examples:
  crownest evidence trust
  crownest evidence trust their-jwks.json
  crownest evidence trust --list
  crownest evidence trust --forget KEY_ID";

#[derive(Debug, Args)]
pub(crate) struct TrustArgs {
    /// JWK set with the keys to trust [default: the keys that the API publishes]
    #[arg(value_name = "FILE", conflicts_with_all = ["list", "forget"])]
    pub keys: Option<PathBuf>,
    /// Trust keys too that were not there when the first ones were pinned
    #[arg(long, conflicts_with_all = ["list", "forget"])]
    pub add: bool,
    /// List the pinned keys, and change nothing
    #[arg(long, conflicts_with = "forget")]
    pub list: bool,
    /// Trust this key no longer
    #[arg(long, value_name = "KEY_ID")]
    pub forget: Option<String>,
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
