//! The commands, one file for each.

pub(crate) mod admin;
pub(crate) mod artifacts;
pub(crate) mod audit;
mod cancel;
pub(crate) mod completions;
mod create;
mod evidence;
pub(crate) mod evidence_diff;
pub(crate) mod evidence_export;
pub(crate) mod evidence_trust;
pub(crate) mod evidence_verify;
mod list;
pub(crate) mod login;
mod logs;
pub(crate) mod projects;
pub(crate) mod query;
mod rerun;
mod run_archive;
mod run_folder;
mod run_record;
mod start;
mod status;
mod submit;
pub(crate) mod tables;
pub(crate) mod templates;
mod upload;
pub(crate) mod usage;
pub(crate) mod webhooks;

use std::process::ExitCode;

use crate::args::workspace_runs::WorkspaceRunsCommand;
use crate::client::Client;
use crate::failure::Stop;
use crate::output::Output;

pub(crate) async fn workspace_runs(
    command: WorkspaceRunsCommand,
    client: &Client,
    output: &mut Output,
) -> Result<ExitCode, Stop> {
    match command {
        WorkspaceRunsCommand::Create(args) => create::run(args, client, output).await,
        WorkspaceRunsCommand::Upload(args) => upload::run(args, client, output).await,
        WorkspaceRunsCommand::Start(args) => start::run(args, client, output).await,
        WorkspaceRunsCommand::Status { id } => status::run(&id, client, output).await,
        WorkspaceRunsCommand::List(args) => list::run(&args, client, output).await,
        WorkspaceRunsCommand::Logs(args) => logs::run(&args, client, output).await,
        WorkspaceRunsCommand::Cancel(args) => cancel::run(args, client, output).await,
        WorkspaceRunsCommand::Evidence(args) => evidence::run(&args, client, output).await,
        WorkspaceRunsCommand::RunArchive(args) => run_archive::run(args, client, output).await,
        WorkspaceRunsCommand::Run(args) => run_folder::run(args, client, output).await,
        WorkspaceRunsCommand::Rerun(args) => rerun::run(&args, client, output).await,
    }
}
