//! What is signed about a run, so that nobody has to trust the bucket: in-toto statements in DSSE envelopes, and the public
//! keys to verify them with. Specified in `docs/reference/formats.md`; signing itself is the collector's.

pub mod dsse;
pub mod key;
pub mod predicate;
pub mod statement;
