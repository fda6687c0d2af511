//! The collector: stores what executors publish, announces it to live readers, and seals every ended run into an event
//! log and an Evidence Bundle in the object store. Only the collector makes a run terminal.
//!
//! Start reading at [`start`], which puts everything together. A message of a run then passes three rooms:
//!
//! - `intake` takes it from the broker and stores it in the database;
//! - `seal` makes the event log and the Evidence Bundle of a run that has ended, and makes the run terminal;
//! - `followers` work on sealed runs afterwards: the evidence log, the tables, retention, legal holds, housekeeping.
//!
//! `context` holds what all of them share, `db` all of their SQL.

mod config;
mod context;
mod db;
mod followers;
mod intake;
mod metrics;
mod pace;
mod put_once;
mod recent_objects;
mod seal;
mod service;
pub mod signing;

pub use config::{CollectorConfig, CollectorSettings};
pub use followers::evidence_log::EvidenceLogConfig;
pub use followers::lake::{self, TablesConfig};
pub use service::start;
