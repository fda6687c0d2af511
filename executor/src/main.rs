//! The executor as a process of its own.

use std::time::Duration;

use clap::Parser;
use executor::{ExecutorConfig, supervised};
use infra::telemetry::LogConfig;
use sandbox::rootless;

const THREADS_WITHIN: Duration = Duration::from_secs(2);

/// Runs archives in sandboxes and publishes what happens.
#[derive(Debug, Parser)]
#[command(name = "crownest-executor", version)]
struct Arguments {
    #[command(flatten)]
    executor: ExecutorConfig,
    #[command(flatten)]
    log: LogConfig,
}

fn main() -> anyhow::Result<()> {
    let line = supervised::command_line()?;
    let arguments: Arguments = infra::config::parse_or_exit(line.arguments);
    // A user namespace is entered by a process with one thread, which is why the runtime comes later.
    let entered = rootless::enter().map_err(anyhow::Error::from);
    if line.is_supervised {
        supervised::end_with_supervisor()?;
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let done = runtime.block_on(run(arguments, entered, line.is_supervised));
    // Threads that are still at something, such as a clean-up, are not waited for: the next start sweeps.
    runtime.shutdown_timeout(THREADS_WITHIN);
    done
}

async fn run(arguments: Arguments, entered: anyhow::Result<()>, is_supervised: bool) -> anyhow::Result<()> {
    infra::telemetry::init(&arguments.log)?;
    let shutdown = infra::shutdown::on_signal()?;
    let start = async { entered.map(|()| executor::start(arguments.executor, shutdown))?.await };
    let started = start.await;
    if is_supervised {
        supervised::report(&started)?;
    }
    started?.finished().await;
    Ok(())
}
