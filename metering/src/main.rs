//! Metering as a process of its own.

use clap::Parser;
use infra::telemetry::LogConfig;
use metering::MeteringConfig;

/// Records usage exactly once, enforces concurrency and admits waiting runs.
#[derive(Debug, Parser)]
#[command(name = "crownest-metering", version)]
struct Arguments {
    #[command(flatten)]
    metering: MeteringConfig,
    #[command(flatten)]
    log: LogConfig,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Arguments = infra::config::parse_or_exit(std::env::args_os());
    infra::telemetry::init(&arguments.log)?;
    let shutdown = infra::shutdown::on_signal()?;
    metering::start(arguments.metering, shutdown).await?.finished().await;
    Ok(())
}
