//! The shapes of the public HTTP API, one file for each resource. Optional members are left out when absent.

pub mod archive;
pub mod artifact;
pub mod attestations;
pub mod error;
pub mod inclusion;
pub mod key;
pub mod list;
pub mod project;
pub mod run;
pub mod template;
pub mod usage;
pub mod webhook;
