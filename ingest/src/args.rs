//! The arguments of the program `crownest-ingest` and of its two commands.

use clap::Parser;
use infra::config::Secret;
use infra::telemetry::LogConfig;
use ingest::IngestConfig;

/// The HTTP API of CrowNest
#[derive(Parser)]
#[command(
    name = "crownest-ingest",
    version,
    after_help = "`crownest-ingest migrate` updates the database schema; `crownest-ingest openapi` prints the OpenAPI document."
)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub log: LogConfig,
    #[command(flatten)]
    pub ingest: IngestConfig,
}

/// Prints the OpenAPI 3.1 document of the API
#[derive(Parser)]
#[command(name = "crownest-ingest openapi", version)]
pub(crate) struct OpenApi {}

/// Brings the database schema up to date, and exits
#[derive(Parser)]
#[command(name = "crownest-ingest migrate", version)]
pub(crate) struct Migrate {
    /// The database, with an administrator's access
    #[arg(long, env = "CROWNEST_ADMIN_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Secret,
}
