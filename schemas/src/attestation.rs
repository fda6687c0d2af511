//! Signed statements about a run, so that nobody has to trust the bucket: in-toto statements in DSSE envelopes, and the
//! public keys that verify them. Specified in `docs/reference/formats.md`; the collector does the signing.

pub mod dsse;
pub mod jwks;
pub mod key;
pub mod predicate;
pub mod statement;
