//! Metrics of the intake and the seal, and of how far the followers are behind.

use prometheus::{
    Gauge, Histogram, IntCounter, IntCounterVec, IntGauge, Registry, register_gauge_with_registry,
    register_histogram_with_registry, register_int_counter_vec_with_registry, register_int_counter_with_registry,
    register_int_gauge_with_registry,
};

#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub group_size: Histogram,
    pub messages: IntCounterVec,
    pub log_bytes: IntCounter,
    pub sealed: IntCounterVec,
    pub seal_seconds: Histogram,
    pub run_seconds: Histogram,
    pub parts: IntCounter,
    pub retries: IntCounterVec,
    pub parked: IntCounter,
    pub unsealed: IntGauge,
    pub log_lag_seconds: Gauge,
    pub tables_lag_seconds: Gauge,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let sizes = vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
        let seconds = prometheus::exponential_buckets(0.001, 2.0, 16)?;
        Ok(Self {
            group_size: register_histogram_with_registry!(
                "crownest_collector_batch_messages",
                "Messages stored in one transaction",
                sizes,
                registry
            )?,
            messages: register_int_counter_vec_with_registry!(
                "crownest_collector_messages_total",
                "Messages received, by verdict",
                &["verdict"],
                registry
            )?,
            log_bytes: register_int_counter_with_registry!(
                "crownest_collector_log_bytes_total",
                "Bytes of events stored, uncompressed",
                registry
            )?,
            sealed: register_int_counter_vec_with_registry!(
                "crownest_collector_sealed_runs_total",
                "Runs sealed, by outcome",
                &["outcome"],
                registry
            )?,
            seal_seconds: register_histogram_with_registry!(
                "crownest_collector_seal_seconds",
                "From the fixed outcome to the durable bundle",
                seconds.clone(),
                registry
            )?,
            run_seconds: register_histogram_with_registry!(
                "crownest_collector_run_seconds",
                "From start request to the fixed outcome",
                seconds,
                registry
            )?,
            parts: register_int_counter_with_registry!(
                "crownest_collector_log_parts_total",
                "Parts of event logs written before the seal",
                registry
            )?,
            retries: register_int_counter_vec_with_registry!(
                "crownest_collector_retries_total",
                "Retries after a failure, by step",
                &["step"],
                registry
            )?,
            parked: register_int_counter_with_registry!(
                "crownest_collector_parked_letters_total",
                "Dead letters moved to the queue `parked`, because they name no run that could be ended",
                registry
            )?,
            unsealed: register_int_gauge_with_registry!(
                "crownest_collector_unsealed_runs",
                "Runs whose outcome is fixed but not yet durable",
                registry
            )?,
            log_lag_seconds: register_gauge_with_registry!(
                "crownest_collector_evidence_log_lag_seconds",
                "Seconds for which the oldest sealed run has waited to be in the evidence log",
                registry
            )?,
            tables_lag_seconds: register_gauge_with_registry!(
                "crownest_collector_tables_lag_seconds",
                "Seconds for which the oldest sealed run has waited to be in the tables",
                registry
            )?,
        })
    }
}
