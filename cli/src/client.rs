//! The client of the public API. Every request of it is safe to repeat: it only reads, or carries an idempotency key.

mod answer;
mod artifacts;
mod download;
mod evidence_log;
mod follow;
pub(crate) mod idempotency;
mod pages;
mod remediation;
mod retry;
mod run_event;
mod runs;
pub(crate) mod sse;
mod stream;
mod templates;
mod transport;
mod upload;
mod webhooks;

pub(crate) use self::download::Download;
pub(crate) use self::follow::Follower;
pub(crate) use self::pages::Page;
pub(crate) use self::run_event::{Channel, RunEvent};
pub(crate) use self::transport::{Client, build_http, http_builder};
