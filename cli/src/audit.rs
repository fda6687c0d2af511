//! Checks the evidence log and what the API serves against each other. Everything that the server says is suspected:
//! it is compared with hashes that lead to a signed checkpoint, and that with the checkpoint of the last audit.

mod entries;
mod history;
mod keys;
mod log_reader;
mod report;
mod runs;
mod state;

pub(crate) use self::entries::read_all;
pub(crate) use self::history::{History, examine};
pub(crate) use self::keys::PublicKeys;
pub(crate) use self::log_reader::LogReader;
pub(crate) use self::report::{Finding, Report};
pub(crate) use self::runs::{RunAudit, collect, prove};
pub(crate) use self::state::State;
