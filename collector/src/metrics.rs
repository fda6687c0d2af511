//! What the collector counts.

use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub batch_size: Histogram,
    pub messages: IntCounterVec,
    pub log_bytes: IntCounter,
    pub sealed: IntCounterVec,
    pub seal_seconds: Histogram,
    pub run_seconds: Histogram,
    pub parts: IntCounter,
    pub retries: IntCounterVec,
    pub unsealed: IntGauge,
    pub log_lag_seconds: Gauge,
    pub artifacts_deleted: IntCounterVec,
    pub artifact_bytes_deleted: IntCounterVec,
    pub artifacts_locked: IntCounter,
    pub artifacts_held: IntGauge,
    pub retention_overdue_seconds: Gauge,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let sizes = vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
        let seconds = prometheus::exponential_buckets(0.001, 2.0, 16)?;
        let metrics = Self {
            batch_size: Histogram::with_opts(
                HistogramOpts::new("crownest_collector_batch_messages", "Messages stored in one transaction")
                    .buckets(sizes),
            )?,
            messages: IntCounterVec::new(
                Opts::new("crownest_collector_messages_total", "Messages received, by what became of them"),
                &["verdict"],
            )?,
            log_bytes: IntCounter::new("crownest_collector_log_bytes_total", "Bytes of events stored, uncompressed")?,
            sealed: IntCounterVec::new(
                Opts::new("crownest_collector_sealed_runs_total", "Runs sealed, by outcome"),
                &["outcome"],
            )?,
            seal_seconds: Histogram::with_opts(
                HistogramOpts::new("crownest_collector_seal_seconds", "From the fixed outcome to the durable bundle")
                    .buckets(seconds.clone()),
            )?,
            run_seconds: Histogram::with_opts(
                HistogramOpts::new("crownest_collector_run_seconds", "From start request to the fixed outcome")
                    .buckets(seconds),
            )?,
            parts: IntCounter::new(
                "crownest_collector_log_parts_total",
                "Parts of event logs written before the seal",
            )?,
            retries: IntCounterVec::new(
                Opts::new("crownest_collector_retries_total", "Steps tried again after a failure"),
                &["step"],
            )?,
            unsealed: IntGauge::new(
                "crownest_collector_unsealed_runs",
                "Runs whose outcome is fixed but not yet durable",
            )?,
            log_lag_seconds: Gauge::new(
                "crownest_collector_evidence_log_lag_seconds",
                "How long the oldest sealed run has waited to be in the evidence log",
            )?,
            artifacts_deleted: IntCounterVec::new(
                Opts::new("crownest_collector_deleted_artifacts_total", "Artifacts whose bytes left the store"),
                &["reason"],
            )?,
            artifact_bytes_deleted: IntCounterVec::new(
                Opts::new("crownest_collector_deleted_artifact_bytes_total", "Their bytes"),
                &["reason"],
            )?,
            artifacts_locked: IntCounter::new(
                "crownest_collector_locked_artifacts_total",
                "Deletions that were put off because the store locks the object",
            )?,
            artifacts_held: IntGauge::new(
                "crownest_collector_held_artifacts",
                "Artifacts that would be gone if they were not under a legal hold",
            )?,
            retention_overdue_seconds: Gauge::new(
                "crownest_collector_retention_overdue_seconds",
                "For how long the oldest artifact that is to go, and is not held, has been overdue",
            )?,
        };
        registry.register(Box::new(metrics.batch_size.clone()))?;
        registry.register(Box::new(metrics.messages.clone()))?;
        registry.register(Box::new(metrics.log_bytes.clone()))?;
        registry.register(Box::new(metrics.sealed.clone()))?;
        registry.register(Box::new(metrics.seal_seconds.clone()))?;
        registry.register(Box::new(metrics.run_seconds.clone()))?;
        registry.register(Box::new(metrics.parts.clone()))?;
        registry.register(Box::new(metrics.retries.clone()))?;
        registry.register(Box::new(metrics.unsealed.clone()))?;
        registry.register(Box::new(metrics.log_lag_seconds.clone()))?;
        registry.register(Box::new(metrics.artifacts_deleted.clone()))?;
        registry.register(Box::new(metrics.artifact_bytes_deleted.clone()))?;
        registry.register(Box::new(metrics.artifacts_locked.clone()))?;
        registry.register(Box::new(metrics.artifacts_held.clone()))?;
        registry.register(Box::new(metrics.retention_overdue_seconds.clone()))?;
        Ok(metrics)
    }
}
