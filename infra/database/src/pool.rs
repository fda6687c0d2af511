//! The connection pool: its configuration, its time limits, and its readiness check.

use std::ops::Deref;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use deadpool_postgres::{Manager, ManagerConfig, RecyclingMethod, Runtime};
use infra::config::{Secret, SecretValue};
use infra::ops::Ready;
use tokio_postgres::{Config, NoTls};

use crate::Error;

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
    /// Maximum connections of this service; a collector opens two more, to write the evidence log and the tables
    #[arg(long, env = "CROWNEST_DATABASE_POOL", default_value_t = 8, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub database_pool: u16,
}

/// Why a pool cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("--database-url: expected postgres://user:password@host:port/database")]
    Url(#[source] Error),
    #[error("the connection pool cannot be built")]
    Pool(#[from] deadpool_postgres::BuildError),
}

/// Connections to one database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pool(deadpool_postgres::Pool);

/// Makes a pool. Connections are opened when they are first needed.
pub fn open(config: &PostgresConfig) -> Result<Pool, OpenError> {
    let mut target = Config::from_str(config.database_url.reveal()).map_err(OpenError::Url)?;
    target.application_name("crownest").connect_timeout(CONNECT_TIMEOUT);
    // The driver notices a closed connection. A test query at every checkout found nothing more in our tests of
    // restarts, and was every fifth round trip of a run.
    let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let pool = deadpool_postgres::Pool::builder(Manager::from_config(target, NoTls, manager))
        .max_size(usize::from(config.database_pool))
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(WAIT_TIMEOUT))
        .create_timeout(Some(CONNECT_TIMEOUT))
        .build()?;
    Ok(Pool(pool))
}

impl Deref for Pool {
    type Target = deadpool_postgres::Pool;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Ready for Pool {
    const NAME: &'static str = "postgres";

    async fn ready(&self) -> Result<(), String> {
        let client = self.get().await.map_err(|error| error.to_string())?;
        client.simple_query("select 1").await.map(drop).map_err(|error| error.to_string())
    }
}
