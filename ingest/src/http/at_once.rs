//! A number of things that one API key may do at once, such as following runs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use prometheus::IntCounter;
use schemas::id::ApiKeyId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::{ApiError, Code};

/// Number of keys at which those that do nothing are forgotten.
const SWEEP_AT: usize = 1024;
/// A connection waits with each: they have a number, too.
const MOST_WAITING_PER_PLACE: usize = 4;
/// Time after which a refused client should ask again.
const RETRY_AFTER_S: u64 = 5;

#[derive(Debug)]
pub(crate) struct AtOnce {
    /// Plural noun for messages, such as `event streams`.
    what: &'static str,
    limit: usize,
    keys: Mutex<HashMap<ApiKeyId, Weak<Semaphore>>>,
    refused: IntCounter,
}

/// One of the things, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl AtOnce {
    pub(crate) fn new(what: &'static str, limit: u32, refused: IntCounter) -> Self {
        Self { what, limit: limit as usize, keys: Mutex::default(), refused }
    }

    /// Takes one of the key's places, or refuses when none is free in time, or when too many wait already.
    pub(crate) async fn enter(&self, key: &ApiKeyId, patience: Duration) -> Result<Place, ApiError> {
        let places = self.places(key);
        // Whoever has or awaits a place keeps the semaphore: the map does not, this call does.
        if Arc::strong_count(&places) > self.limit.saturating_mul(MOST_WAITING_PER_PLACE + 1) {
            return Err(self.refuse());
        }
        match tokio::time::timeout(patience, places.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Place { _permit: permit }),
            _ => Err(self.refuse()),
        }
    }

    fn places(&self, key: &ApiKeyId) -> Arc<Semaphore> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = keys.get(key).and_then(Weak::upgrade) {
            return places;
        }
        if keys.len() >= SWEEP_AT {
            keys.retain(|_, places| places.strong_count() > 0);
        }
        // A place keeps the semaphore.
        let places = Arc::new(Semaphore::new(self.limit));
        keys.insert(key.clone(), Arc::downgrade(&places));
        places
    }

    fn refuse(&self) -> ApiError {
        self.refused.inc();
        let message =
            format!("This API key has {} {} at once, which is its limit: end one first.", self.limit, self.what);
        ApiError::retry_after(Code::RateLimited, message, RETRY_AFTER_S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_has_so_many_places() {
        let at_once = AtOnce::new("event streams", 2, IntCounter::new("refused", "refused").unwrap());
        let (one, other) = (ApiKeyId::new(), ApiKeyId::new());
        let enter = async |key| at_once.enter(key, Duration::ZERO).await;
        let first = enter(&one).await.unwrap();
        let _second = enter(&one).await.unwrap();
        assert!(enter(&one).await.is_err());
        assert!(enter(&other).await.is_ok());
        drop(first);
        assert!(enter(&one).await.is_ok());
        assert_eq!(at_once.refused.get(), 1);
    }
}
