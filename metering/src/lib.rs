//! Metering: writes usage to an append-only ledger exactly once, keeps totals of each period, frees the slots of ended runs
//! and admits the runs that wait for one.
//!
//! Start reading at `ledger/record.rs`: the transaction in which usage is written and slots change hands. `ledger/consume.rs`
//! feeds it from the broker, `admission/queue.rs` decides who gets a slot, `service.rs` puts it together. Rules that ingest
//! needs too (slot limit, budget, period, price) are functions in `infra/database/schema/metering.sql`.

mod admission;
mod config;
mod context;
mod db;
mod ledger;
mod metrics;
mod service;

pub use config::{MeteringConfig, MeteringSettings};
pub use service::start;
