//! The API service as a program of its own.

use std::io::Write as _;

use clap::Parser;
use infra::config::{EXIT_BAD_CONFIG, Secret, parse_or_exit};
use infra::telemetry::LogConfig;
use ingest::IngestConfig;

/// The HTTP API of CrowNest
#[derive(Parser)]
#[command(
    name = "crownest-ingest",
    version,
    after_help = "`crownest-ingest migrate` updates the database schema; `crownest-ingest openapi` prints the OpenAPI document."
)]
struct Serve {
    #[command(flatten)]
    log: LogConfig,
    #[command(flatten)]
    ingest: IngestConfig,
}

/// Prints the OpenAPI 3.1 document of the API
#[derive(Parser)]
#[command(name = "crownest-ingest openapi", version)]
struct OpenApi {}

/// Brings the database schema up to date, and exits
#[derive(Parser)]
#[command(name = "crownest-ingest migrate", version)]
struct Migrate {
    /// The database, with an administrator's access
    #[arg(long, env = "CROWNEST_ADMIN_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Secret,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if std::env::args().nth(1).as_deref() == Some("migrate") {
        let Migrate { database_url } = parse_or_exit(std::env::args_os().skip(1));
        return Ok(database::migrate(&database_url).await?);
    }
    if std::env::args().nth(1).as_deref() == Some("openapi") {
        let OpenApi {} = parse_or_exit(std::env::args_os().skip(1));
        let mut text = serde_json::to_string_pretty(&ingest::openapi())?;
        text.push('\n');
        return Ok(std::io::stdout().write_all(text.as_bytes())?);
    }
    let Serve { log, ingest } = parse_or_exit(std::env::args_os());
    infra::telemetry::init(&log)?;
    if let Err(error) = ingest.validate() {
        tracing::error!(%error, "bad configuration");
        std::process::exit(EXIT_BAD_CONFIG);
    }
    ingest::start(ingest, infra::shutdown::on_signal()?).await?.finished().await
}
