//! The one dialect for statements and rows: statements are prepared once per connection, columns are read into types, and a
//! value that this version does not understand is an error that names its column.

use deadpool_postgres::GenericClient;
use schemas::Timestamp;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// Why a query failed.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    #[error("no connection to the database")]
    Pool(#[from] deadpool_postgres::PoolError),
    #[error("a statement failed")]
    Statement(#[from] tokio_postgres::Error),
    #[error("column `{column}` holds what this version does not understand")]
    Column { column: &'static str, source: anyhow::Error },
}

/// True if the database would refuse the same values again: it understood them and said no, or they hold numbers that it
/// cannot hold. A right or a function that is missing is not the values' fault, and may be there a moment later.
pub fn is_refused(error: &anyhow::Error) -> bool {
    // Classes of SQLSTATE: data exception, constraint violation, error raised by a function.
    const REFUSALS: [&str; 3] = ["22", "23", "P0"];
    error.chain().any(|cause| match cause.downcast_ref::<tokio_postgres::Error>() {
        Some(error) => error.code().is_some_and(|code| REFUSALS.iter().any(|class| code.code().starts_with(class))),
        None => cause.is::<std::num::TryFromIntError>() || cause.is::<Refused>(),
    })
}

/// A caller's own refusal of values, which counts as one of the database.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub &'static str);

/// Parameters of a statement, `$1` first.
pub type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

pub async fn rows(client: &impl GenericClient, sql: &str, params: Params<'_>) -> Result<Vec<Row>, DbError> {
    let statement = client.prepare_cached(sql).await?;
    Ok(client.query(&statement, params).await?)
}

pub async fn optional(client: &impl GenericClient, sql: &str, params: Params<'_>) -> Result<Option<Row>, DbError> {
    let statement = client.prepare_cached(sql).await?;
    Ok(client.query_opt(&statement, params).await?)
}

pub async fn one(client: &impl GenericClient, sql: &str, params: Params<'_>) -> Result<Row, DbError> {
    let statement = client.prepare_cached(sql).await?;
    Ok(client.query_one(&statement, params).await?)
}

/// Returns how many rows the statement changed.
pub async fn execute(client: &impl GenericClient, sql: &str, params: Params<'_>) -> Result<u64, DbError> {
    let statement = client.prepare_cached(sql).await?;
    Ok(client.execute(&statement, params).await?)
}

/// Reads a text column whose words or identifiers have a type.
pub fn parsed<T>(row: &Row, column: &'static str) -> Result<T, DbError>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|error: T::Err| DbError::Column { column, source: error.into() })
}

pub fn optional_parsed<T>(row: &Row, column: &'static str) -> Result<Option<T>, DbError>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    row.try_get::<_, Option<&str>>(column)?.map(|_| parsed(row, column)).transpose()
}

/// Reads a `jsonb` column.
pub fn json<T: DeserializeOwned>(row: &Row, column: &'static str) -> Result<T, DbError> {
    let value: serde_json::Value = row.try_get(column)?;
    serde_json::from_value(value).map_err(|error| DbError::Column { column, source: error.into() })
}

pub fn optional_json<T: DeserializeOwned>(row: &Row, column: &'static str) -> Result<Option<T>, DbError> {
    let value: Option<serde_json::Value> = row.try_get(column)?;
    value.map(serde_json::from_value).transpose().map_err(|error| DbError::Column { column, source: error.into() })
}

pub fn timestamp(row: &Row, column: &'static str) -> Result<Timestamp, DbError> {
    Ok(row.try_get::<_, OffsetDateTime>(column)?.into())
}

pub fn optional_timestamp(row: &Row, column: &'static str) -> Result<Option<Timestamp>, DbError> {
    Ok(row.try_get::<_, Option<OffsetDateTime>>(column)?.map(Timestamp::from))
}

/// Reads a size or a sequence number: PostgreSQL has no unsigned integers, and a negative one is an error.
pub fn unsigned(row: &Row, column: &'static str) -> Result<u64, DbError> {
    let value: i64 = row.try_get(column)?;
    u64::try_from(value).map_err(|error| DbError::Column { column, source: error.into() })
}

pub fn optional_unsigned(row: &Row, column: &'static str) -> Result<Option<u64>, DbError> {
    row.try_get::<_, Option<i64>>(column)?.map(|_| unsigned(row, column)).transpose()
}

/// Reads an attempt or a count of type `integer`: a negative one is an error.
pub fn unsigned_32(row: &Row, column: &'static str) -> Result<u32, DbError> {
    let value: i32 = row.try_get(column)?;
    u32::try_from(value).map_err(|error| DbError::Column { column, source: error.into() })
}

/// The parameter for an unsigned number. Numbers above 2^63 - 1 become 2^63 - 1: no size or sequence number comes near.
pub fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
