//! The house's PostgreSQL: one pool, one way to migrate, one dialect for rows and errors, one registry of locks, one outbox.
//! Tables belong to the services: each has its statements in its own `src/db/`.
//!
//! Start reading at [`Pool`], then [`row`] (how every service reads columns) and [`Outbox`] (how every service sends
//! messages). The present tables are in `schema/`, how they came about in `migrations/`.
//!
//! Dependencies: `infra` (configuration, readiness, the broker that the outbox relays to) and `schemas` (times, the content type
//! of events); `tokio-postgres`, `deadpool-postgres` and `refinery` (driver, pool, migrations); `tokio`, `serde_json`, `time`,
//! `bytes`, `clap`, `tracing`, `thiserror`, `anyhow`.

pub mod locks;
mod migrate;
mod outbox;
mod pool;
pub mod row;

pub use deadpool_postgres::{Client, GenericClient, PoolError, Transaction};
pub use tokio_postgres::Row;

pub use migrate::{MigrateError, migrate};
pub use outbox::{ContentType, Outbox, OutboxMessage};
pub use pool::{OpenError, Pool, PostgresConfig, open};
pub use row::DbError;
/// The driver's own error, for callers that look at its SQLSTATE.
pub use tokio_postgres::Error;
