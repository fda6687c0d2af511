//! The state that all connections of one run share.

use std::sync::Arc;

use schemas::egress::EgressPolicy;
use tokio::sync::Semaphore;

use super::gateway::Gateway;
use super::ledger::Ledger;

/// Maximum concurrent name lookups per run. Each takes a thread, also when nobody waits for it any more.
const LOOKUPS: usize = 4;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) gateway: Gateway,
    pub(super) policy: EgressPolicy,
    pub(super) ledger: Arc<Ledger>,
    pub(super) lookups: Arc<Semaphore>,
}

impl Shared {
    pub(super) fn new(policy: EgressPolicy, gateway: &Gateway) -> Self {
        let lookups = Arc::new(Semaphore::new(LOOKUPS));
        Self { gateway: gateway.clone(), policy, ledger: Arc::default(), lookups }
    }
}
