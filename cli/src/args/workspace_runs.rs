//! `crownest workspace-runs …`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use regex::bytes::Regex;
use schemas::Timestamp;
use schemas::id::{BatchId, ProjectId, RunId};
use schemas::run::RunStatus;

use super::env::EnvArgs;
use super::pair::parse_pair;
use super::projects::PageArgs;
use super::run_request::{COMMAND_HELP, RunRequestArgs};
use crate::client::Channel;
use crate::client::idempotency::IdempotencyKey;

const RUN_ARCHIVE_HELP: &str = "\
Standard output and standard error of the run come out unchanged. Exits with the exit code of the run; if it has \
none (canceled, timed out, a failure of the platform), says so on standard error and exits with 1.
With --json every event of the run is one line.
Ctrl-C cancels the run and waits for its end; a second Ctrl-C leaves immediately.
With --env NPM_TOKEN the command gets this variable of your environment; its value is encrypted and not printed.
Repeated with the same --idempotency-key it goes on with the same run, wherever that stopped.

Examples:
  crownest workspace-runs run-archive repo.tgz --template python-node -- pnpm test
  crownest workspace-runs run-archive repo.tgz --artifact junit.xml --timeout-ms 60000 -- 'make && make test'
  crownest workspace-runs run-archive repo.tgz --env NPM_TOKEN --env-file ci.env -- npm publish";

const RUN_FOLDER_HELP: &str = "\
Everything in the folder goes along but .git and what its .gitignore files leave out (as in git, those of parent \
folders count too, up to the root of the repository). A folder that did not change gives the same archive, \
which is not uploaded again: owners and times are not packed. Streams and exits like run-archive.

Examples:
  crownest workspace-runs run . -- pnpm test
  crownest workspace-runs run services/api --artifact 'reports/**/*.xml' --artifact dist -- 'make && make test'";

#[derive(Debug, Subcommand)]
pub(crate) enum WorkspaceRunsCommand {
    /// Create a run, without its archive
    #[command(long_about = format!("Create a run, without its archive.\n\n{COMMAND_HELP}"), after_help = "\
Example:
  crownest workspace-runs create --template python-node --metadata branch=main -- pnpm test")]
    Create(RunRequestArgs),
    /// Upload the archive of a run (a gzip-compressed tar file)
    #[command(after_help = "Example:\n  crownest workspace-runs upload wsr_… repo.tgz")]
    Upload(UploadArgs),
    /// Start a run whose archive is uploaded
    #[command(after_help = "Example:\n  crownest workspace-runs start wsr_…")]
    Start(ChangeArgs),
    /// Show the state of a run
    #[command(after_help = "Example:\n  crownest workspace-runs status wsr_… --json")]
    Status {
        #[arg(value_name = "WSR_ID")]
        id: RunId,
    },
    /// List runs, newest first
    #[command(after_help = "\
Examples:
  crownest workspace-runs list --status failed --limit 20
  crownest workspace-runs list --metadata branch=main --all --json")]
    List(ListArgs),
    /// Print the output of a run; of a live one until it ends
    #[command(after_help = "\
Standard output of the run goes to standard output, its standard error to standard error. The exit code is 0 whatever \
that of the run was; with --grep it is 1 if no line matches, with --raw if a part of the stream was never stored. \
With --json every event (or matching line) is one line.

Examples:
  crownest workspace-runs logs wsr_…
  crownest workspace-runs logs wsr_… --raw >stdout.bin
  crownest workspace-runs logs wsr_… --grep '(?i)error' --stream stderr
  crownest workspace-runs logs wsr_… --after-seq 100 --no-follow --json")]
    Logs(LogsArgs),
    /// Cancel a run; one that ended already stays as it is
    #[command(after_help = "Example:\n  crownest workspace-runs cancel wsr_…")]
    Cancel(ChangeArgs),
    /// Fetch the Evidence Bundle of an ended run
    #[command(after_help = "\
Examples:
  crownest workspace-runs evidence wsr_… --output evidence.json
  crownest workspace-runs evidence wsr_… --wait | jq .data.exitCode")]
    Evidence(EvidenceArgs),
    /// Upload an archive, run a command in it, and stream the output
    #[command(long_about = format!("Upload an archive, run a command in it, and stream the output.\n\n{COMMAND_HELP}"),
        after_help = RUN_ARCHIVE_HELP)]
    RunArchive(RunArchiveArgs),
    /// Pack a folder, run a command in it, and stream the output
    #[command(long_about = format!("Pack a folder, run a command in it, and stream the output.\n\n{COMMAND_HELP}"),
        after_help = RUN_FOLDER_HELP)]
    Run(RunFolderArgs),
    /// Run the same command on the same archive again, as a new run
    #[command(after_help = "\
Command, template version, project, requested artifacts, metadata and time limit are those of the earlier run. Values of \
environment variables cannot be read back: give each that the earlier run had again, by --env or --env-file. Streams \
and exits like run-archive.

Examples:
  crownest workspace-runs rerun wsr_…
  crownest workspace-runs rerun wsr_… --env NPM_TOKEN")]
    Rerun(RerunArgs),
}

/// A request that changes one run.
#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    #[arg(value_name = "WSR_ID")]
    pub id: RunId,
    /// Repeating a command with the same key does nothing twice (1 to 255 characters) [default: a random one]
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<IdempotencyKey>,
}

#[derive(Debug, Args)]
pub(crate) struct UploadArgs {
    #[command(flatten)]
    pub change: ChangeArgs,
    /// The archive: a gzip-compressed tar file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

#[derive(Debug, Default, Args)]
pub(crate) struct ListArgs {
    /// Only runs in this state, such as running or failed
    #[arg(long)]
    pub status: Option<RunStatus>,
    /// Only runs of this project
    #[arg(long, value_name = "PRJ_ID")]
    pub project: Option<ProjectId>,
    /// Only runs of this batch
    #[arg(long, value_name = "BAT_ID")]
    pub batch: Option<BatchId>,
    /// Only runs created at this time or later (RFC 3339, such as 2026-01-31T12:00:00Z)
    #[arg(long, value_name = "TIME")]
    pub created_after: Option<Timestamp>,
    /// Only runs created before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub created_before: Option<Timestamp>,
    /// Only runs with this metadata; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_pair)]
    pub metadata: Vec<(String, String)>,
    #[command(flatten)]
    pub page: PageArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    #[arg(value_name = "WSR_ID")]
    pub id: RunId,
    /// Begin after the event with this sequence number
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub after_seq: u64,
    /// Begin with the event of this sequence number
    #[arg(long, value_name = "N", conflicts_with = "after_seq")]
    pub since_seq: Option<u64>,
    /// Print the exact bytes of one stream (standard output, or that of --stream) and nothing else
    #[arg(long, conflicts_with_all = ["grep", "json"])]
    pub raw: bool,
    /// Print only lines that match this regular expression, each after the sequence number of the event in which it
    /// begins and the name of its stream
    #[arg(long, value_name = "REGEX", value_parser = parse_regex)]
    pub grep: Option<Regex>,
    /// With --raw or --grep: only this stream
    #[arg(long, value_name = "STREAM", value_enum)]
    pub stream: Option<Stream>,
    /// Go on until the run ends (the default)
    #[arg(long, overrides_with = "no_follow")]
    pub follow: bool,
    /// Stop after the output that is stored now
    #[arg(long, overrides_with = "follow")]
    pub no_follow: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl From<Stream> for Channel {
    fn from(stream: Stream) -> Self {
        match stream {
            Stream::Stdout => Self::Stdout,
            Stream::Stderr => Self::Stderr,
        }
    }
}

/// Output need not be UTF-8.
fn parse_regex(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| error.to_string())
}

#[derive(Debug, Args)]
pub(crate) struct EvidenceArgs {
    #[arg(value_name = "WSR_ID")]
    pub id: RunId,
    /// Write the bundle to this file, indented, instead of {"data":…} to standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Wait until the run has ended and its evidence is there
    #[arg(long)]
    pub wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunArchiveArgs {
    /// The archive: a gzip-compressed tar file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub request: RunRequestArgs,
    /// Start the run, print it and leave
    #[arg(long)]
    pub no_wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunFolderArgs {
    /// The folder to run in
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    #[command(flatten)]
    pub request: RunRequestArgs,
    /// Start the run, print it and leave
    #[arg(long)]
    pub no_wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RerunArgs {
    #[command(flatten)]
    pub again: ChangeArgs,
    #[command(flatten)]
    pub env: EnvArgs,
    /// Write the id of the new run to this file as soon as there is one
    #[arg(long, value_name = "FILE")]
    pub id_file: Option<PathBuf>,
    /// Start the run, print it and leave
    #[arg(long)]
    pub no_wait: bool,
}
