//! Tables of sealed runs on this machine: a folder that is kept the same as those in the object store, and DuckDB on it.

pub(crate) mod duckdb;
pub(crate) mod folder;
mod sync;

pub(crate) use self::folder::Folder;
pub(crate) use self::sync::{Synced, sync};
