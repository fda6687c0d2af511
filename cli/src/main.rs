//! The `crownest` command. Everything is in the library, so that tests can reach it.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    crownest_cli::run(std::env::args_os()).await
}
