//! The collector as a process of its own.

use clap::Parser;
use collector::CollectorConfig;
use infra::telemetry::LogConfig;

/// Stores events, seals runs and writes Evidence Bundles to the object store.
#[derive(Debug, Parser)]
#[command(name = "crownest-collector", version)]
struct Arguments {
    #[command(flatten)]
    collector: CollectorConfig,
    #[command(flatten)]
    log: LogConfig,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Arguments = infra::config::parse_or_exit(std::env::args_os());
    infra::telemetry::init(&arguments.log)?;
    let shutdown = infra::shutdown::on_signal()?;
    collector::start(arguments.collector, shutdown).await?.finished().await;
    Ok(())
}
