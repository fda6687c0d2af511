//! `crownest completions`: what shells need to complete our command line.

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::Cli;
use crate::failure::Stop;
use crate::output::Output;

pub(crate) fn run(shell: Shell, output: &mut Output) -> Result<ExitCode, Stop> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "crownest", &mut script);
    output.raw(&script)?;
    Ok(ExitCode::SUCCESS)
}
