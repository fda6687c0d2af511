//! Brings the schema up to date. The migrations are in `migrations/` and are compiled in.

use std::str::FromStr;

use infra::config::Secret;
use tokio_postgres::{Config, NoTls};

use crate::locks;

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// Applies the migrations that are missing. Safe to call from several processes at once.
pub async fn migrate(url: &Secret) -> anyhow::Result<()> {
    let (mut client, connection) = Config::from_str(url.reveal())?.connect(NoTls).await?;
    let driver = tokio::spawn(connection);
    // refinery takes no lock of its own.
    client.execute("select pg_advisory_lock($1)", &[&locks::MIGRATION.0]).await?;
    // The lock goes with the session, so a crash in between leaves nothing behind.
    embedded::migrations::runner().run_async(&mut client).await?;
    drop(client);
    driver.await??;
    Ok(())
}
