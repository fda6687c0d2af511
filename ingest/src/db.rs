//! The tables of ingest, one module each, and the doors to the tables of other services. All statements are
//! prepared once for each connection.

pub(crate) mod api_keys;
pub(crate) mod archives;
pub(crate) mod collector;
pub(crate) mod egress_policies;
pub(crate) mod idempotency;
pub(crate) mod legal_holds;
pub(crate) mod metering;
pub(crate) mod organizations;
pub(crate) mod projects;
pub(crate) mod retention;
pub(crate) mod run_env;
pub(crate) mod runs;
pub(crate) mod templates;
pub(crate) mod uploads;
pub(crate) mod webhooks;

use database::GenericClient;
use schemas::Timestamp;
use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

#[derive(Debug, thiserror::Error)]
pub enum DbError {
    #[error("no connection to the database")]
    Pool(#[from] database::PoolError),
    #[error("a statement failed")]
    Statement(#[from] tokio_postgres::Error),
    #[error("column `{column}` holds what this version does not understand")]
    Column { column: &'static str, source: anyhow::Error },
}

type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

async fn rows(client: &impl GenericClient, sql: &str, params: Params<'_>) -> Result<Vec<Row>, DbError> {
    let statement = client.prepare_cached(sql).await?;
    Ok(client.query(&statement, params).await?)
}

async fn optional(client: &impl GenericClient, sql: &str, params: Params<'_>) -> Result<Option<Row>, DbError> {
    let statement = client.prepare_cached(sql).await?;
    Ok(client.query_opt(&statement, params).await?)
}

async fn one(client: &impl GenericClient, sql: &str, params: Params<'_>) -> Result<Row, DbError> {
    let statement = client.prepare_cached(sql).await?;
    Ok(client.query_one(&statement, params).await?)
}

async fn execute(client: &impl GenericClient, sql: &str, params: Params<'_>) -> Result<u64, DbError> {
    let statement = client.prepare_cached(sql).await?;
    Ok(client.execute(&statement, params).await?)
}

/// A text column whose words or identifiers have a type.
fn parsed<T>(row: &Row, column: &'static str) -> Result<T, DbError>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|error: T::Err| DbError::Column { column, source: error.into() })
}

fn optional_parsed<T>(row: &Row, column: &'static str) -> Result<Option<T>, DbError>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    row.try_get::<_, Option<&str>>(column)?.map(|_| parsed(row, column)).transpose()
}

fn json<T: serde::de::DeserializeOwned>(row: &Row, column: &'static str) -> Result<T, DbError> {
    let value: serde_json::Value = row.try_get(column)?;
    serde_json::from_value(value).map_err(|error| DbError::Column { column, source: error.into() })
}

fn optional_json<T: serde::de::DeserializeOwned>(row: &Row, column: &'static str) -> Result<Option<T>, DbError> {
    let value: Option<serde_json::Value> = row.try_get(column)?;
    value.map(serde_json::from_value).transpose().map_err(|error| DbError::Column { column, source: error.into() })
}

fn timestamp(row: &Row, column: &'static str) -> Result<Timestamp, DbError> {
    Ok(row.try_get::<_, OffsetDateTime>(column)?.into())
}

fn optional_timestamp(row: &Row, column: &'static str) -> Result<Option<Timestamp>, DbError> {
    Ok(row.try_get::<_, Option<OffsetDateTime>>(column)?.map(Timestamp::from))
}

/// Sizes and sequence numbers, which are never negative.
fn unsigned(row: &Row, column: &'static str) -> Result<u64, DbError> {
    let value: i64 = row.try_get(column)?;
    u64::try_from(value).map_err(|error| DbError::Column { column, source: error.into() })
}

/// For parameters: PostgreSQL has no unsigned integers.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
