//! Metrics of the evidence log.

use prometheus::{Histogram, IntGauge, Registry, register_histogram_with_registry, register_int_gauge_with_registry};

#[derive(Debug, Clone)]
pub(crate) struct EvidenceLogMetrics {
    pub size: IntGauge,
    pub group_seconds: Histogram,
}

impl EvidenceLogMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            size: register_int_gauge_with_registry!(
                "crownest_collector_evidence_log_entries",
                "Entries of the published evidence log",
                registry
            )?,
            group_seconds: register_histogram_with_registry!(
                "crownest_collector_evidence_log_batch_seconds",
                "From the assignment of entries to the published checkpoint",
                prometheus::exponential_buckets(0.004, 2.0, 13)?,
                registry
            )?,
        })
    }
}
