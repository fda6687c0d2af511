//! The part of each organization's plan that ingest enforces or passes on, cached for a few seconds.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use database::{DbError, GenericClient, Pool};
use schemas::artifact::ArtifactLimits;
use schemas::id::OrgId;

use crate::db::metering::{self, Plan};

const TTL: Duration = Duration::from_secs(5);
const CAPACITY: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Plans {
    /// Limit of organizations without an account.
    default_per_minute: u32,
    cache: Mutex<HashMap<OrgId, (Instant, Plan)>>,
}

impl Plans {
    pub(crate) fn new(default_per_minute: u32) -> Self {
        Self { default_per_minute, cache: Mutex::new(HashMap::new()) }
    }

    /// `None` means unlimited.
    pub(crate) async fn requests_per_minute(&self, pool: &Pool, org: &OrgId) -> Result<Option<u32>, DbError> {
        let plan = match self.known(org) {
            Some(plan) => plan,
            None => self.ask(&pool.get().await?, org).await?,
        };
        Ok(plan.requests_per_minute)
    }

    /// Bounds for the artifacts of a run. `client` is the caller's, so that nobody waits for a second connection.
    pub(crate) async fn artifact_limits(
        &self,
        client: &impl GenericClient,
        org: &OrgId,
    ) -> Result<ArtifactLimits, DbError> {
        let plan = match self.known(org) {
            Some(plan) => plan,
            None => self.ask(client, org).await?,
        };
        Ok(plan.artifact_limits)
    }

    async fn ask(&self, client: &impl GenericClient, org: &OrgId) -> Result<Plan, DbError> {
        let asked = Instant::now();
        let plan = metering::plan_of(client, org).await?.unwrap_or(Plan {
            requests_per_minute: Some(self.default_per_minute),
            artifact_limits: ArtifactLimits::default(),
        });
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CAPACITY {
            cache.clear();
        }
        cache.insert(org.clone(), (asked, plan.clone()));
        Ok(plan)
    }

    fn known(&self, org: &OrgId) -> Option<Plan> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let (asked, plan) = cache.get(org)?;
        (asked.elapsed() < TTL).then(|| plan.clone())
    }
}
