//! Metering: writes usage to an append-only ledger exactly once, keeps period totals, frees the slots of ended runs
//! and admits the runs that wait for one.

mod config;
mod metrics;
mod record;
mod service;
mod tables;

pub use config::{MeteringConfig, MeteringSettings};
pub use service::start;
