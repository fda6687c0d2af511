//! The executor's metrics.

use std::time::Instant;

use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use schemas::egress::{EgressReason, EgressReport};

use crate::dispatch::slots::Gauges;

#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub slots: Gauges,
    pub busy: IntGauge,
    pub claims: IntCounterVec,
    pub attempts: IntCounterVec,
    phase_seconds: HistogramVec,
    pub limits_reached: IntCounterVec,
    pub artifact_bounds: IntCounterVec,
    pub cpu_throttled_ms: IntCounter,
    pub output_bytes: IntCounterVec,
    pub output_dropped_bytes: IntCounterVec,
    pub redactions: IntCounter,
    pub segments: IntCounter,
    egress_connections: IntCounterVec,
}

impl Metrics {
    /// Records the time of a phase of an attempt that began then and is over now.
    pub(crate) fn phase(&self, name: &str, begun: Instant) {
        self.phase_seconds.with_label_values(&[name]).observe(begun.elapsed().as_secs_f64());
    }

    /// Counts the destinations that a run has tried to reach.
    pub(crate) fn egress(&self, report: &EgressReport) {
        for attempt in &report.attempts {
            let result = attempt.reason.map_or("connected", EgressReason::as_str);
            self.egress_connections.with_label_values(&[result]).inc_by(attempt.count);
        }
        self.egress_connections.with_label_values(&["not_listed"]).inc_by(report.attempts_not_listed);
    }

    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let seconds = prometheus::exponential_buckets(0.001, 2.0, 18)?;
        let metrics = Self {
            slots: Gauges {
                usable: IntGauge::new("crownest_executor_slots", "Maximum concurrent runs, in slots that are in use")?,
                unfit: IntGauge::new(
                    "crownest_executor_unfit_slots",
                    "Slots out of use, because a run cannot be removed or no sandbox starts",
                )?,
            },
            busy: IntGauge::new("crownest_executor_busy_slots", "Current runs")?,
            claims: IntCounterVec::new(
                Opts::new("crownest_executor_claims_total", "Claims of jobs, by the answer"),
                &["verdict"],
            )?,
            attempts: IntCounterVec::new(
                Opts::new("crownest_executor_attempts_total", "Attempts ended here, by how they ended"),
                &["ended"],
            )?,
            phase_seconds: HistogramVec::new(
                HistogramOpts::new("crownest_executor_phase_seconds", "Time of each phase of an attempt")
                    .buckets(seconds),
                &["phase"],
            )?,
            limits_reached: IntCounterVec::new(
                Opts::new("crownest_executor_limits_reached_total", "Attempts that reached a limit, by limit"),
                &["limit"],
            )?,
            artifact_bounds: IntCounterVec::new(
                Opts::new(
                    "crownest_executor_artifact_bounds_total",
                    "Artifacts that were not collected because of a bound, by the bound",
                ),
                &["bound"],
            )?,
            cpu_throttled_ms: IntCounter::new(
                "crownest_executor_cpu_throttled_milliseconds_total",
                "Time for which the CPU limit held back sandboxes, over all processors",
            )?,
            output_bytes: IntCounterVec::new(
                Opts::new("crownest_executor_output_bytes_total", "Bytes that commands wrote"),
                &["stream"],
            )?,
            output_dropped_bytes: IntCounterVec::new(
                Opts::new(
                    "crownest_executor_output_dropped_bytes_total",
                    "Bytes that commands wrote beyond the output cap, which are not stored",
                ),
                &["stream"],
            )?,
            redactions: IntCounter::new("crownest_executor_redactions_total", "Secrets replaced in output")?,
            segments: IntCounter::new("crownest_executor_segments_total", "Segments published")?,
            egress_connections: IntCounterVec::new(
                Opts::new(
                    "crownest_executor_egress_connections_total",
                    "Destinations that ended runs asked their proxies for, by the result",
                ),
                &["result"],
            )?,
        };
        registry.register(Box::new(metrics.slots.usable.clone()))?;
        registry.register(Box::new(metrics.slots.unfit.clone()))?;
        registry.register(Box::new(metrics.busy.clone()))?;
        registry.register(Box::new(metrics.claims.clone()))?;
        registry.register(Box::new(metrics.attempts.clone()))?;
        registry.register(Box::new(metrics.phase_seconds.clone()))?;
        registry.register(Box::new(metrics.limits_reached.clone()))?;
        registry.register(Box::new(metrics.artifact_bounds.clone()))?;
        registry.register(Box::new(metrics.cpu_throttled_ms.clone()))?;
        registry.register(Box::new(metrics.output_bytes.clone()))?;
        registry.register(Box::new(metrics.output_dropped_bytes.clone()))?;
        registry.register(Box::new(metrics.redactions.clone()))?;
        registry.register(Box::new(metrics.segments.clone()))?;
        registry.register(Box::new(metrics.egress_connections.clone()))?;
        Ok(metrics)
    }
}
