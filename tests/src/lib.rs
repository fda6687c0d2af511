//! The test kit of the end-to-end tests and benchmarks: shared private servers, a CrowNest of its own for each test, and a
//! plain HTTP client that knows nothing but the public contract.
//!
//! Start reading at [`Stack`], a CrowNest for one test; beneath it [`Lease`] keeps the shared servers running, [`Process`] is
//! a service that can be killed, [`Client`] talks to the API and [`Crownest`] runs the command.

mod archive;
mod client;
mod command;
pub mod generated;
mod options;
mod process;
mod root_fs;
mod stack;
mod testbed;
mod wait;

pub use archive::{Archive, archive};
pub use client::{Answer, Client, Sse};
pub use command::{Crownest, Finished};
pub use options::{ENV_KEYS, Options, SIGNING_KEY};
pub use process::{Process, installed, program};
pub use root_fs::{marked_root, root_tar, small_root};
pub use stack::Stack;
pub use testbed::{Access, Lease, serve};
pub use wait::{DEADLINE, eventually};
