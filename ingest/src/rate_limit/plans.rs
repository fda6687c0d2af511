//! The part of each organization's plan that ingest enforces, cached for a few seconds.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use database::{DbError, Pool};
use schemas::id::OrgId;

use crate::db::metering;

const TTL: Duration = Duration::from_secs(5);
const CAPACITY: usize = 10_000;

/// Requests per minute; `None` means unlimited.
type Limit = Option<u32>;

#[derive(Debug)]
pub(crate) struct Plans {
    /// Limit of organizations without an account.
    default_per_minute: u32,
    cache: Mutex<HashMap<OrgId, (Instant, Limit)>>,
}

impl Plans {
    pub(crate) fn new(default_per_minute: u32) -> Self {
        Self { default_per_minute, cache: Mutex::new(HashMap::new()) }
    }

    pub(crate) async fn requests_per_minute(&self, pool: &Pool, org: &OrgId) -> Result<Limit, DbError> {
        if let Some(known) = self.known(org) {
            return Ok(known);
        }
        let asked = Instant::now();
        let plan = metering::plan_of(&pool.get().await?, org).await?;
        let limit = plan.map_or(Some(self.default_per_minute), |plan| plan.requests_per_minute);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CAPACITY {
            cache.clear();
        }
        cache.insert(org.clone(), (asked, limit));
        Ok(limit)
    }

    fn known(&self, org: &OrgId) -> Option<Limit> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let (asked, limit) = cache.get(org)?;
        (asked.elapsed() < TTL).then_some(*limit)
    }
}
