//! The metrics of metering.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub group_size: Histogram,
    pub usage_events: IntCounterVec,
    pub admitted: IntCounter,
    pub given_up: IntCounter,
    pub retries: IntCounter,
    pub reservations: IntGaugeVec,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let sizes = vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
        let metrics = Self {
            group_size: Histogram::with_opts(
                HistogramOpts::new("crownest_metering_batch_messages", "Messages recorded in one transaction")
                    .buckets(sizes),
            )?,
            usage_events: IntCounterVec::new(
                Opts::new("crownest_metering_usage_events_total", "Usage events, by whether they were new"),
                &["verdict"],
            )?,
            admitted: IntCounter::new("crownest_metering_admitted_total", "Runs admitted after waiting for a slot")?,
            given_up: IntCounter::new(
                "crownest_metering_given_up_total",
                "Waiting runs that were ended because the budget of their organization was used up",
            )?,
            retries: IntCounter::new(
                "crownest_metering_retries_total",
                "Groups of messages recorded again after a failure",
            )?,
            reservations: IntGaugeVec::new(
                Opts::new("crownest_metering_runs", "Runs that hold a slot or wait for one"),
                &["state"],
            )?,
        };
        registry.register(Box::new(metrics.group_size.clone()))?;
        registry.register(Box::new(metrics.usage_events.clone()))?;
        registry.register(Box::new(metrics.admitted.clone()))?;
        registry.register(Box::new(metrics.given_up.clone()))?;
        registry.register(Box::new(metrics.retries.clone()))?;
        registry.register(Box::new(metrics.reservations.clone()))?;
        Ok(metrics)
    }
}
