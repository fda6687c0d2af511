//! The `crownest` command. Everything is in the library, so that tests can reach it.

use std::process::ExitCode;
use std::time::Duration;

/// Time for threads that are still at something, such as a clean-up, when all is done: nobody waits for them any longer.
const THREADS_WITHIN: Duration = Duration::from_secs(2);

fn main() -> std::io::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()?;
    let code = runtime.block_on(crownest_cli::run(std::env::args_os()));
    runtime.shutdown_timeout(THREADS_WITHIN);
    Ok(code)
}
