//! The client's own behaviour: the real binary against a small HTTP server that misbehaves on purpose.
//! The crate `tests` tests the answers of the real system end to end.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests, too")]

mod audit;
mod command;
mod downloads;
mod errors;
mod evidence;
mod evidence_diff;
mod interrupts;
mod lists;
mod login;
mod logs;
mod retries;
mod run_api;
mod run_archive;
mod server;
mod uploads;
