//! The keys seen within the last second: a burst of requests asks the database once.
//! A revoked key works for at most that long; where it was revoked, not at all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use database::{DbError, Pool};
use schemas::api::key::ApiKey;
use schemas::id::ApiKeyId;

use super::{Caller, key};
use crate::db::api_keys;

const TTL: Duration = Duration::from_secs(1);
const CAPACITY: usize = 10_000;

type Cache = HashMap<[u8; 32], (Instant, Arc<ApiKey>)>;

#[derive(Debug, Default)]
pub(crate) struct Callers {
    cache: Mutex<Cache>,
}

impl Callers {
    /// The caller behind a full key; `None` when it is unknown or revoked. Unknown keys are not remembered, so that
    /// guessing fills nothing and a new key works at once.
    pub(crate) async fn find(&self, pool: &Pool, full_key: &str) -> Result<Option<Caller>, DbError> {
        if !key::is_plausible(full_key) {
            return Ok(None);
        }
        let digest = key::digest(full_key);
        if let Some(known) = self.known(&digest) {
            return Ok(Some(Caller::new(known)));
        }
        let asked = Instant::now();
        let Some(found) = api_keys::find_active(&pool.get().await?, &digest).await? else { return Ok(None) };
        let found = Arc::new(found);
        self.remember(digest, asked, Arc::clone(&found));
        Ok(Some(Caller::new(found)))
    }

    pub(crate) fn forget(&self, id: &ApiKeyId) {
        self.lock().retain(|_, (_, known)| known.id != *id);
    }

    fn known(&self, digest: &[u8; 32]) -> Option<Arc<ApiKey>> {
        let cache = self.lock();
        let (asked, known) = cache.get(digest)?;
        (asked.elapsed() < TTL).then(|| Arc::clone(known))
    }

    fn remember(&self, digest: [u8; 32], asked: Instant, found: Arc<ApiKey>) {
        let mut cache = self.lock();
        if cache.len() >= CAPACITY {
            cache.retain(|_, (asked, _)| asked.elapsed() < TTL);
        }
        if cache.len() < CAPACITY {
            cache.insert(digest, (asked, found));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
