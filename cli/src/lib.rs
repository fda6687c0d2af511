//! The `crownest` command line: a client of the public HTTP API, and `crownest up`, the whole system on one machine.
//!
//! # Start reading at `dispatch`
//!
//! `dispatch` hands each command to its file: `args/` is the command line as clap sees it, `commands/` has a file for each command,
//! `client/` talks HTTP, `output/` prints. `audit/`, `export` and `evidence_folder` bring evidence to the crate `verifier`, which
//! judges it; `lake/` runs SQL over the tables; `up/` starts, watches and stops the crate `local`. Servers' answers stay JSON
//! values all the way, so that no field is lost that this version does not know.

mod api_key;
mod archive_file;
mod args;
mod atomic_file;
mod audit;
mod client;
mod commands;
mod config_file;
mod connection;
mod evidence_file;
mod evidence_folder;
mod export;
mod failure;
mod interrupt;
mod lake;
mod object_store;
mod output;
mod pack;
mod regular_file;
mod shell;
mod trusted_keys;
mod up;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

use crate::args::evidence::EvidenceCommand;
use crate::args::{Cli, Command};
use crate::client::Client;
use crate::failure::Stop;
use crate::output::Output;

/// Runs one command line. Exit codes: 0 success, 1 an API or runtime error, 2 a usage error; `run-archive` has the run's.
pub async fn run<T: Into<OsString> + Clone>(args: impl IntoIterator<Item = T>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing can be done if the terminal is gone. Help and version are "errors" with exit code 0.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let mut output = Output::new(cli.json);
    match dispatch(cli, &mut output).await {
        Ok(code) => code,
        // The reader of our output left, as `| head` does: nobody is there to be told.
        Err(Stop::BrokenPipe) => ExitCode::SUCCESS,
        Err(Stop::Failed(failure)) => {
            output.failure(&failure);
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(cli: Cli, output: &mut Output) -> Result<ExitCode, Stop> {
    let client = || Client::connect(&cli.connection);
    match cli.command {
        Command::Completions { shell } => commands::completions::run(shell, output),
        Command::Up(args) => up::run(args, output).await,
        Command::Status(args) => up::status(&args, output).await,
        Command::Down(args) => up::down(&args, output).await,
        Command::Admin(args) => commands::admin::run(args, output).await,
        Command::Login => commands::login::run(&cli.connection, output).await,
        Command::Projects(command) => commands::projects::run(command, &client()?, output).await,
        Command::Templates(command) => commands::templates::run(command, &client()?, output).await,
        Command::Usage => commands::usage::run(&client()?, output).await,
        Command::Evidence(EvidenceCommand::Diff(args)) => {
            commands::evidence_diff::run(&args, &cli.connection, output).await
        }
        Command::Query(args) => commands::query::run(args, output).await,
        Command::Tables(command) => commands::tables::run(command, output).await,
        Command::Webhooks(command) => commands::webhooks::run(command, &client()?, output).await,
        Command::Artifacts(command) => commands::artifacts::run(command, &client()?, output).await,
        Command::Evidence(EvidenceCommand::Verify(args)) => {
            commands::evidence_verify::run(&args, &cli.connection, output).await
        }
        Command::Evidence(EvidenceCommand::Export(args)) => {
            commands::evidence_export::run(&args, &client()?, output).await
        }
        Command::Evidence(EvidenceCommand::Trust(args)) => {
            commands::evidence_trust::run(&args, &cli.connection, output).await
        }
        Command::Evidence(EvidenceCommand::Audit(args)) => commands::audit::run(&args, &client()?, output).await,
        Command::WorkspaceRuns(command) => commands::workspace_runs(*command, &client()?, output).await,
    }
}
