//! The executor: takes jobs, runs archives in sandboxes, collects artifacts and publishes what happens as segments.

mod attempt;
mod claim;
mod config;
mod content_type;
mod feed;
#[doc(hidden)]
pub mod fuzzing;
mod jobs;
mod metrics;
mod output;
mod redact;
mod running;
mod service;
mod slots;

pub mod archive;
pub mod egress;
pub mod sandbox;
pub mod supervised;
pub mod workspace;

pub use config::{EngineName, ExecutorConfig, ExecutorSettings};
pub use service::{Executor, start};
