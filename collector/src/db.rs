//! The database as the collector sees it: one module for each table, and `runs` for the functions of ingest.

pub(crate) mod artifacts;
pub(crate) mod gaps;
pub(crate) mod lake_files;
pub(crate) mod log_checkpoints;
pub(crate) mod log_entries;
pub(crate) mod log_parts;
pub(crate) mod runs;
pub(crate) mod seals;
pub(crate) mod segments;
pub(crate) mod signing_keys;
pub(crate) mod store_holds;

/// Database integers are signed; what we count never reaches the other half.
pub(crate) fn to_sql(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(crate) fn from_sql(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
