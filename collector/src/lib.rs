//! The collector: stores what executors publish, announces it to live readers, and seals every ended run into an
//! event log and an Evidence Bundle in the object store. Only the collector makes a run terminal.

mod batch;
mod config;
mod dead;
mod ending;
mod fresh;
mod holds;
mod intake;
pub mod lake;
mod log;
mod metrics;
mod pace;
mod retention;
mod seal;
mod service;
pub mod signing;
mod sweep;
mod tables;
mod transparency;

pub use config::{CollectorConfig, CollectorSettings};
pub use lake::TablesConfig;
pub use service::{Collector, start};
pub use transparency::TransparencyConfig;
