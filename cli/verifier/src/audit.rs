//! Checks the evidence log and the answers of the API against each other. The server is not believed: its answers are compared
//! with hashes that lead to a signed checkpoint, and that checkpoint with the one of the last audit.
//!
//! The caller fetches, in this order: for each ended run its evidence ([`Served`]), its entry and its statement
//! ([`claim`]); then a checkpoint ([`signed`]) with the proof that the log only grew ([`grown`]); then for each run the
//! proof that the log has its entry ([`prove`]). [`Entries`] reads the whole log instead of proofs.

mod entries;
mod history;
mod report;
mod runs;

pub use self::entries::Entries;
pub use self::history::{grown, signed};
pub use self::report::{Finding, Report};
pub use self::runs::{Served, claim, not_logged, prove, statement_sha256};
