//! The HTTP API of CrowNest: takes runs and archives in, admits them, and lets clients follow and read what happened.
//!
//! Start with [`service`] (how it starts and stops) and `router` (what it answers). A request passes `observe`, then
//! `auth` and `rate_limit`, then one file of `endpoints`; those that change something do so under `idempotency`.

pub mod admin;
mod app;
mod archive;
mod auth;
pub mod config;
mod db;
mod endpoints;
mod events;
mod evidence_log;
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod idempotency;
mod metrics;
mod new_run;
mod openapi;
mod operation;
mod periodic;
mod rate_limit;
mod router;
pub mod service;
pub mod templates;
mod webhooks;

pub use config::IngestConfig;
pub use database::DbError;
pub use openapi::document as openapi;
pub use service::{Ingest, start};
