//! Blocking work on other threads hears that its caller is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Held by the caller of blocking work: dropping it tells the work to end.
#[derive(Debug, Default)]
pub(crate) struct Caller(Arc<AtomicBool>);

impl Caller {
    /// A flag for the work: true once nobody waits for the work any more.
    pub(crate) fn gone(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
