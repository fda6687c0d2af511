//! The HTTP API of CrowNest: takes runs and archives in, admits them, and lets clients follow and read what happened.
//!
//! Start reading at `endpoints`, the list of all operations, and at one of its files, such as `endpoints/runs/start.rs`.
//! [`service`] starts and stops the API. A request passes `http::observe` and `auth`,
//! and reaches its handler through `operation::endpoint`, which checks the scope that the operation declares. A handler
//! that changes something does so in `operation::Change::once`. Statements are in `db`, work beside the requests in
//! `periodic`. [`admin`] and [`templates`] are for operators: no route leads to them.

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
pub use openapi::document as openapi;
pub use service::{Ingest, start};
