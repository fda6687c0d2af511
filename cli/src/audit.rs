//! Fetches what an audit compares, and keeps its state between audits. The crate `verifier` judges.

mod entries;
mod history;
mod log_reader;
mod runs;
mod state;

pub(crate) use self::entries::read_all;
pub(crate) use self::history::examine;
pub(crate) use self::log_reader::LogReader;
pub(crate) use self::runs::{RunAudit, collect, prove};
pub(crate) use self::state::{Remembered, State};
