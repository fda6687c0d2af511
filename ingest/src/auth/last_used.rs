//! The times at which API keys were last used: gathered here, recorded by `periodic::record_uses`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use schemas::id::ApiKeyId;
use time::OffsetDateTime;

#[derive(Debug, Default)]
pub(crate) struct LastUsed {
    uses: Mutex<HashMap<ApiKeyId, OffsetDateTime>>,
}

impl LastUsed {
    pub(crate) fn record(&self, key: &ApiKeyId) {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        uses.insert(key.clone(), OffsetDateTime::now_utc());
    }

    /// Takes the uses since the last call.
    pub(crate) fn take(&self) -> Vec<(ApiKeyId, OffsetDateTime)> {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken: Vec<_> = uses.drain().collect();
        // Two processes that update the same rows must do so in the same order.
        taken.sort();
        taken
    }
}
