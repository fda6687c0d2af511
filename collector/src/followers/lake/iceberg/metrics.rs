//! Metrics of the registration in an Iceberg catalog.

use prometheus::{
    Gauge, IntCounter, IntCounterVec, Registry, register_gauge_with_registry, register_int_counter_vec_with_registry,
    register_int_counter_with_registry,
};

#[derive(Debug, Clone)]
pub(crate) struct IcebergMetrics {
    pub(super) commits: IntCounterVec,
    pub(super) errors: IntCounter,
    pub(super) behind_seconds: Gauge,
}

impl IcebergMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            commits: register_int_counter_vec_with_registry!(
                "crownest_collector_iceberg_commits_total",
                "Snapshots that were committed to the Iceberg catalog, by operation",
                &["operation"],
                registry
            )?,
            errors: register_int_counter_with_registry!(
                "crownest_collector_iceberg_errors_total",
                "Failed registrations in the Iceberg catalog, which are retried",
                registry
            )?,
            behind_seconds: register_gauge_with_registry!(
                "crownest_collector_iceberg_behind_seconds",
                "Seconds for which the Iceberg catalog has lacked files that are written; 0 if it has all",
                registry
            )?,
        })
    }
}
