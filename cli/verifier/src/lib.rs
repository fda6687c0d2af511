//! Verification of what CrowNest leaves behind, without CrowNest. The caller brings bytes, public keys and the time; this
//! crate says what they prove. It opens no file and no connection, and reads neither clock nor environment.
//!
//! # Start reading at [`evidence::verify`]
//!
//! 1. [`evidence::verify`] lists every check of one run, in order. Each check is a file in `evidence/`: the bundle's form
//!    (`bundle.rs`), the signed statements about it (`statements.rs`), the event log by its digests and Merkle root
//!    (`event_log.rs`) and by its events (`segment.rs`), the artifacts (`artifacts.rs`) or their tombstones (`deletion.rs`),
//!    the proof that the evidence log has the bundle (`inclusion.rs`). `report.rs` is the answer.
//! 2. [`Source`] is where the files of a run come from, and the only door through which strangers' bytes enter.
//! 3. [`audit`] holds what a server says against its evidence log, and the log against its state of an earlier audit.
//!
//! The formats are specified in `docs/reference/formats.md` and read by the crate `schemas`, which also has the cryptography:
//! Ed25519 and DSSE in `schemas::attestation`, Merkle trees and checkpoints in `schemas::merkle` and `schemas::transparency`.
//!
//! # Dependencies
//!
//! | crate | reason |
//! |---|---|
//! | `schemas` | the stored formats, signatures and Merkle proofs |
//! | `serde`, `serde_json` | statements, proofs and events are JSON |
//! | `sha2`, `hex` | digests, and how they are written |
//! | `zstd` | the segments of the event log are compressed |
//!
//! `schemas` adds `ring` (Ed25519), `base64`, `time`, `getrandom`, `thiserror`, `bytes`, `schemars` and `quick-xml`. A test of
//! the workspace, `tests/tests/crates.rs`, keeps networks, runtimes and every other crate of CrowNest out.

pub mod audit;
pub mod evidence;
mod source;

pub use source::{Content, Found, Source, artifact_file, names, part_file, tombstone_file};
