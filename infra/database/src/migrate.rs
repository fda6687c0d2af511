//! Brings the schema up to date. The migrations are in `migrations/` and are compiled in.

use std::str::FromStr;

use infra::config::Secret;
use refinery::error::Kind;
use tokio_postgres::{Config, NoTls};

use crate::locks;

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// Functions are the doors between services: each is opened to a role by name, none to everybody. PostgreSQL opens a new one to
/// everybody, and default privileges bind only the role that set them: so all are closed after every migration.
const CLOSED: &str = "revoke execute on all functions in schema ingest, collector, metering from public";

/// Why the schema cannot be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error(
        "the database was migrated by another version of CrowNest: expected migration {expected}, found {found}. \
         Use the version that migrated it, or start with an empty database (`crownest up`: another folder for --data). \
         Until the first release migrations may change, and no data is carried over"
    )]
    OtherVersion { expected: String, found: String },
    #[error("a migration failed")]
    Migration(#[source] refinery::Error),
    #[error("no connection to the database")]
    Connection(#[from] tokio_postgres::Error),
}

/// Applies the migrations that are missing. Safe to call from several processes at once.
pub async fn migrate(url: &Secret) -> Result<(), MigrateError> {
    let (mut client, connection) = Config::from_str(url.reveal())?.connect(NoTls).await?;
    let driver = tokio::spawn(connection);
    // refinery takes no lock of its own.
    client.execute("select pg_advisory_lock($1)", &[&locks::MIGRATION]).await?;
    // The lock goes with the session, so a crash in between leaves nothing behind.
    embedded::migrations::runner().run_async(&mut client).await.map_err(explained)?;
    client.batch_execute(CLOSED).await?;
    drop(client);
    // A driver that panicked or was canceled had no error of the connection to tell.
    driver.await.unwrap_or(Ok(()))?;
    Ok(())
}

fn explained(error: refinery::Error) -> MigrateError {
    let known = |version| embedded::migrations::runner().get_migrations().iter().any(|own| own.version() == version);
    let none = || "none".to_owned();
    match error.kind() {
        Kind::DivergentVersion(found, expected) => {
            MigrateError::OtherVersion { expected: expected.to_string(), found: found.to_string() }
        }
        // Either the database has it and this program does not, or the other way round.
        Kind::MissingVersion(migration) if known(migration.version()) => {
            MigrateError::OtherVersion { expected: migration.to_string(), found: none() }
        }
        Kind::MissingVersion(migration) => {
            MigrateError::OtherVersion { expected: none(), found: migration.to_string() }
        }
        _ => MigrateError::Migration(error),
    }
}
