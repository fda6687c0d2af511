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

use database::row::{
    DbError, execute, json, one, optional, optional_parsed, optional_unsigned, parsed, rows, signed, timestamp,
    unsigned,
};
