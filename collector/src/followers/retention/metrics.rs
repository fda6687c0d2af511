//! Metrics of retention.

use prometheus::{
    Gauge, IntCounter, IntCounterVec, IntGauge, Registry, register_gauge_with_registry,
    register_int_counter_vec_with_registry, register_int_counter_with_registry, register_int_gauge_with_registry,
};

#[derive(Debug, Clone)]
pub(crate) struct RetentionMetrics {
    pub deleted: IntCounterVec,
    pub deleted_bytes: IntCounterVec,
    pub locked: IntCounter,
    pub held: IntGauge,
    pub overdue_seconds: Gauge,
}

impl RetentionMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            deleted: register_int_counter_vec_with_registry!(
                "crownest_collector_deleted_artifacts_total",
                "Artifacts whose bytes left the store",
                &["reason"],
                registry
            )?,
            deleted_bytes: register_int_counter_vec_with_registry!(
                "crownest_collector_deleted_artifact_bytes_total",
                "Bytes of these artifacts",
                &["reason"],
                registry
            )?,
            locked: register_int_counter_with_registry!(
                "crownest_collector_locked_artifacts_total",
                "Deletions that were put off because the store locks the object",
                registry
            )?,
            held: register_int_gauge_with_registry!(
                "crownest_collector_held_artifacts",
                "Artifacts that would be gone if they were not under a legal hold",
                registry
            )?,
            overdue_seconds: register_gauge_with_registry!(
                "crownest_collector_retention_overdue_seconds",
                "Seconds for which the oldest artifact that is to go, and is not held, has been overdue",
                registry
            )?,
        })
    }
}
