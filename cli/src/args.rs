//! The command line as clap sees it; one file for each resource below. No behaviour lives here.

pub(crate) mod admin;
pub(crate) mod artifacts;
pub(crate) mod connection;
pub(crate) mod env;
pub(crate) mod evidence;
pub(crate) mod evidence_diff;
pub(crate) mod evidence_verify;
pub(crate) mod pair;
pub(crate) mod projects;
pub(crate) mod run_request;
pub(crate) mod size;
pub(crate) mod store;
pub(crate) mod tables;
pub(crate) mod templates;
pub(crate) mod up;
pub(crate) mod webhooks;
pub(crate) mod workspace_runs;

use clap::{Parser, Subcommand};

use self::admin::AdminArgs;
use self::artifacts::ArtifactsCommand;
use self::connection::ConnectionArgs;
use self::evidence::EvidenceCommand;
use self::projects::ProjectsCommand;
use self::tables::{QueryArgs, TablesCommand};
use self::templates::TemplatesCommand;
use self::up::{DataArgs, UP_HELP, UpArgs};
use self::webhooks::WebhooksCommand;
use self::workspace_runs::WorkspaceRunsCommand;

const AFTER_HELP: &str = "\
Environment: CROWNEST_API_URL, CROWNEST_API_KEY; CROWNEST_BEARER_TOKEN wins over CROWNEST_API_KEY.
Flags win over the environment, the environment over the file that `crownest login` saves.

Exit codes: 0 success, 1 an error of the API or at run time, 2 a usage error.
`workspace-runs run-archive` exits with the exit code of the run, `evidence audit` and `evidence verify` with 3 if
something was changed, and with 4 if nobody whom you named has signed it.

Examples:
  crownest login --api-url https://crownest.example.com --api-key cn_live_…
  crownest workspace-runs run-archive repo.tgz --template python-node -- pnpm test
  crownest workspace-runs evidence wsr_… --output evidence.json";

/// Run repository archives in sandboxes, and keep durable proof of what happened.
#[derive(Debug, Parser)]
#[command(name = "crownest", version, after_help = AFTER_HELP, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Print every result as one line {"data":…}, and errors on stderr as {"error":{…}}
    #[arg(long, global = true, help_heading = "Output")]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the whole system on this machine: API, executor, collector, metering and what they stand on
    #[command(after_help = UP_HELP)]
    Up(UpArgs),
    /// Tell whether the system on this machine runs, and whether each service is ready
    Status(DataArgs),
    /// Stop the system on this machine; its data is kept
    Down(DataArgs),
    /// Organizations and API keys, in the database itself: for operators
    #[command(after_help = "\
Needs no API key but an administrator's access to the database: by default that of the system that `crownest up` runs \
here.

Examples:
  crownest admin organizations list
  crownest admin keys create org_… --name ci --scope workspace_run:create --scope workspace_run:read
  crownest admin keys revoke key_…")]
    Admin(AdminArgs),
    /// Check an API key and save it with the address of the API
    #[command(after_help = "\
The key is checked first; then both are saved, readable by you only, in crownest/config.json under \
$XDG_CONFIG_HOME (or ~/.config). With `--api-key -` the key is read from standard input, which keeps \
it out of the shell's history and the process list.

Examples:
  crownest login --api-url http://127.0.0.1:8080 --api-key cn_live_…
  pass crownest | crownest login --api-url https://crownest.example.com --api-key -")]
    Login,
    /// The projects that the key may see
    #[command(subcommand)]
    Projects(ProjectsCommand),
    /// Templates: the root file systems that runs start from, and their versions
    #[command(subcommand)]
    Templates(TemplatesCommand),
    /// Usage of the organization in the current period, and its quotas
    #[command(after_help = "\
One compute unit second is one second of an active sandbox times its instance multiplier.

Example:
  crownest usage --json")]
    Usage,
    /// Files that runs left behind
    #[command(subcommand)]
    Artifacts(ArtifactsCommand),
    /// Check and compare Evidence Bundles
    #[command(subcommand)]
    Evidence(EvidenceCommand),
    /// Ask in SQL about all sealed runs: for operators
    #[command(after_help = tables::QUERY_HELP)]
    Query(QueryArgs),
    /// The Parquet files behind `query`, for other tools: for operators
    #[command(subcommand)]
    Tables(TablesCommand),
    /// Be told when a run has ended
    #[command(subcommand)]
    Webhooks(WebhooksCommand),
    /// Print a completion script for a shell
    #[command(after_help = "\
Examples:
  crownest completions bash > /etc/bash_completion.d/crownest
  crownest completions zsh > \"${fpath[1]}/_crownest\"
  crownest completions fish > ~/.config/fish/completions/crownest.fish")]
    Completions {
        #[arg(value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
    /// Create, start, watch and inspect workspace runs
    #[command(subcommand, visible_alias = "runs")]
    WorkspaceRuns(Box<WorkspaceRunsCommand>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_follows_two_dashes_belongs_to_the_command() {
        let cli = Cli::try_parse_from(["crownest", "runs", "run-archive", "a.tgz", "--", "ls", "--json"]).unwrap();
        assert!(!cli.json);
        assert!(Cli::try_parse_from(["crownest", "runs", "run-archive", "a.tgz"]).is_err(), "a command is required");
    }
}
