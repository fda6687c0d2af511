//! Registers the tables in an Apache Iceberg catalog: the same Parquet files, which engines then see as of one moment,
//! each row once, whatever is being written or compacted.
//!
//! The files are the truth. A table in the catalog is compared with them, and the difference is committed. So nothing
//! is lost with the answer to a commit, nor in a catalog that was set back, emptied or replaced.

mod catalog;
mod clean_up;
mod config;
mod link;
mod manifest;
mod metadata;
mod metrics;
mod plan;
mod registrar;
mod state;
mod summary;
mod table;

pub use self::config::{Credential, IcebergConfig};
pub(super) use self::link::Link;
pub(crate) use self::metrics::IcebergMetrics;
pub(super) use self::registrar::Registrar;
