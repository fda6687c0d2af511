//! The executor as a process of its own.

use clap::Parser;
use executor::ExecutorConfig;
use infra::telemetry::LogConfig;

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
    let arguments: Arguments = infra::config::parse_or_exit(std::env::args_os());
    // A user namespace is entered by a process with one thread, which is why the runtime comes later.
    executor::sandbox::rootless::enter()?;
    run(arguments)
}

#[tokio::main]
async fn run(arguments: Arguments) -> anyhow::Result<()> {
    infra::telemetry::init(&arguments.log)?;
    let shutdown = infra::shutdown::on_signal()?;
    executor::start(arguments.executor, shutdown).await?.finished().await;
    Ok(())
}
