//! The API service as a program of its own.

mod args;

use std::io::Write as _;

use infra::config::{EXIT_BAD_CONFIG, parse_or_exit};

use args::{Migrate, OpenApi, Serve};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("migrate") => {
            let Migrate { database_url } = parse_or_exit(std::env::args_os().skip(1));
            Ok(database::migrate(&database_url).await?)
        }
        Some("openapi") => {
            let OpenApi {} = parse_or_exit(std::env::args_os().skip(1));
            let mut text = serde_json::to_string_pretty(&ingest::openapi())?;
            text.push('\n');
            Ok(std::io::stdout().write_all(text.as_bytes())?)
        }
        _ => serve().await,
    }
}

async fn serve() -> anyhow::Result<()> {
    let Serve { log, ingest } = parse_or_exit(std::env::args_os());
    infra::telemetry::init(&log)?;
    if let Err(error) = ingest.validate() {
        tracing::error!(%error, "bad configuration");
        std::process::exit(EXIT_BAD_CONFIG);
    }
    ingest::start(ingest, infra::shutdown::on_signal()?).await?.finished().await
}
