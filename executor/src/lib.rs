//! The executor: takes jobs, runs archives in sandboxes, collects artifacts and publishes events as segments.
//!
//! Start reading at [`start`], which puts it together; then follow a job: `dispatch` takes and claims it, `attempt` has its
//! phases in order (`attempt/phases.rs`), and every event leaves through `feed`. What an attempt needs has rooms of its
//! own: `extraction` and `trees` (archives and templates on disk), the crate [`sandbox`], `output`, `workspace`
//! (artifacts) and `egress`. The whole access to the database is in `dispatch/claim.rs`.

mod abandoned;
mod attempt;
mod config;
mod context;
mod dispatch;
mod feed;
#[doc(hidden)]
pub mod fuzzing;
mod metrics;
mod output;
mod service;

pub mod egress;
pub mod extraction;
pub mod supervised;
pub mod trees;
pub mod workspace;

pub use config::{EngineName, ExecutorConfig, ExecutorSettings};
pub use service::{Executor, start};
