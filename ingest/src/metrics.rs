//! The service's metrics, for Prometheus.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub requests: IntCounterVec,
    /// Seconds until the head of the answer.
    pub latency: HistogramVec,
    pub stream_clients: IntGauge,
    pub connections: IntGauge,
    /// Bytes that are counted against a budget: `uploads`, `answers` or `reads`.
    pub buffer_bytes: IntGaugeVec,
    /// Requests refused because something was used up.
    pub refused: IntCounterVec,
    /// Unfinished runs; the state `queued` is `starting` before an executor has claimed the run.
    pub open_runs: IntGaugeVec,
    pub outbox_depth: IntGauge,
    /// Attempts by the message's status afterwards: `pending` is tried again.
    pub webhook_attempts: IntCounterVec,
    /// Messages ready in each durable queue; empty while the broker cannot be asked.
    pub queue_messages: IntGaugeVec,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let options = |name: &str, help: &str| Opts::new(name, help).namespace("crownest").subsystem("ingest");
        let metrics = Self {
            requests: IntCounterVec::new(
                options("http_requests_total", "Requests by route, method and status"),
                &["route", "method", "status"],
            )?,
            latency: HistogramVec::new(
                HistogramOpts::from(options("http_request_seconds", "Time until the head of the answer"))
                    .buckets(vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0]),
                &["route", "method"],
            )?,
            stream_clients: IntGauge::with_opts(options("stream_clients", "Clients that follow a run"))?,
            connections: IntGauge::with_opts(options("connections", "Open connections of clients"))?,
            buffer_bytes: IntGaugeVec::new(
                options("buffer_bytes", "Memory that is taken for uploads, for answers and for reading them"),
                &["buffers"],
            )?,
            refused: IntCounterVec::new(
                options(
                    "refused_total",
                    "Requests refused for want of memory, or because their key does too much at once",
                ),
                &["limit"],
            )?,
            open_runs: IntGaugeVec::new(options("open_runs", "Runs that are not over, by state"), &["state"])?,
            outbox_depth: IntGauge::with_opts(options("outbox_depth", "Messages committed and not yet published"))?,
            webhook_attempts: IntCounterVec::new(
                options("webhook_attempts_total", "Attempts to deliver a webhook message, by what the message is then"),
                &["status"],
            )?,
            // Without the subsystem: every ingest shows the same numbers.
            queue_messages: IntGaugeVec::new(
                Opts::new("queue_messages", "Messages that wait in a queue").namespace("crownest"),
                &["queue"],
            )?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.latency.clone()))?;
        registry.register(Box::new(metrics.stream_clients.clone()))?;
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.buffer_bytes.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        registry.register(Box::new(metrics.open_runs.clone()))?;
        registry.register(Box::new(metrics.outbox_depth.clone()))?;
        registry.register(Box::new(metrics.webhook_attempts.clone()))?;
        registry.register(Box::new(metrics.queue_messages.clone()))?;
        Ok(metrics)
    }
}
