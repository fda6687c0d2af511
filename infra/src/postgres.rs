//! The PostgreSQL pool and the migrations. What is in the tables belongs to the services.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use deadpool_postgres::{Manager, ManagerConfig, RecyclingMethod, Runtime};
use tokio_postgres::{Config, NoTls};

use crate::config::{Secret, SecretValue};

pub use deadpool_postgres::{Client, GenericClient, Pool, PoolError, Transaction};
pub use tokio_postgres::Error;

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// Held while migrating: refinery takes no lock of its own.
const MIGRATION_LOCK: i64 = 0x6372_6f77_6e65_7374;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const WAIT_TIMEOUT: Duration = Duration::from_secs(10);

const URL: SecretValue = SecretValue {
    expected: "postgres://user:password@host:port/database",
    is_valid: |text| Config::from_str(text).is_ok_and(|target| !target.get_hosts().is_empty()),
};

#[derive(Debug, Clone, Args)]
pub struct PostgresConfig {
    /// PostgreSQL as `postgres://user:password@host:port/database`
    #[arg(long, env = "CROWNEST_DATABASE_URL", value_name = "URL", hide_env_values = true,
          value_parser = URL)]
    pub database_url: Secret,
    /// Most connections that this service opens; a collector opens two more, to write the evidence log and
    /// the tables
    #[arg(long, env = "CROWNEST_DATABASE_POOL", default_value_t = 8, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub database_pool: u16,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("--database-url: expected postgres://user:password@host:port/database")]
    Url(#[source] Error),
    #[error("the connection pool cannot be built")]
    Pool(#[from] deadpool_postgres::BuildError),
}

/// A pool of connections; none is opened yet.
pub fn open(config: &PostgresConfig) -> Result<Pool, OpenError> {
    let mut target = Config::from_str(config.database_url.reveal()).map_err(OpenError::Url)?;
    target.application_name("crownest").connect_timeout(CONNECT_TIMEOUT);
    // A closed connection is noticed by its driver. A test query at every checkout found nothing more in our tests of
    // restarts, and was every fifth round trip of a run.
    let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    Ok(Pool::builder(Manager::from_config(target, NoTls, manager))
        .max_size(usize::from(config.database_pool))
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(WAIT_TIMEOUT))
        .create_timeout(Some(CONNECT_TIMEOUT))
        .build()?)
}

/// Brings the schema up to date. Safe to call from several processes at once.
pub async fn migrate(url: &Secret) -> anyhow::Result<()> {
    let (mut client, connection) = Config::from_str(url.reveal())?.connect(NoTls).await?;
    let driver = tokio::spawn(connection);
    client.execute("select pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await?;
    // The lock goes with the session, so a crash in between leaves nothing behind.
    embedded::migrations::runner().run_async(&mut client).await?;
    drop(client);
    driver.await??;
    Ok(())
}

/// A readiness check: the database answers.
pub async fn ping(pool: &Pool) -> Result<(), String> {
    let client = pool.get().await.map_err(|error| error.to_string())?;
    client.simple_query("select 1").await.map(drop).map_err(|error| error.to_string())
}
