//! Conformance of the executor on every engine of the sandbox. The conformance of the sandbox itself is asserted by the
//! tests of its own crate, whose engines and machines these tests use.
#[expect(dead_code, reason = "these tests use a part of it")]
#[path = "../../sandbox/tests/conformance/engine.rs"]
mod engine;
#[path = "../../sandbox/tests/support/ordinary.rs"]
mod ordinary;
#[path = "../../sandbox/tests/support/mod.rs"]
mod support;

mod artifacts;
