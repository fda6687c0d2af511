//! Metrics of the tables.

use std::time::Duration;

use prometheus::{
    Histogram, IntCounter, IntCounterVec, Registry, register_histogram_with_registry,
    register_int_counter_vec_with_registry, register_int_counter_with_registry,
};

use crate::db::lake_files::{Chunks, Rows};

#[derive(Debug, Clone)]
pub(crate) struct LakeMetrics {
    rows: IntCounterVec,
    files: IntCounterVec,
    seconds: Histogram,
    pub(super) unreadable: IntCounter,
    pub(super) errors: IntCounter,
}

impl LakeMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            rows: register_int_counter_vec_with_registry!(
                "crownest_collector_tables_rows_total",
                "Rows of new chunks, by table",
                &["table"],
                registry
            )?,
            files: register_int_counter_vec_with_registry!(
                "crownest_collector_tables_files_total",
                "Files of chunks and of compactions, by kind",
                &["kind"],
                registry
            )?,
            seconds: register_histogram_with_registry!(
                "crownest_collector_tables_batch_seconds",
                "From reading a chunk or the files to compact to the last file written",
                prometheus::exponential_buckets(0.008, 2.0, 15)?,
                registry
            )?,
            unreadable: register_int_counter_with_registry!(
                "crownest_collector_tables_unreadable_runs_total",
                "Sealed runs without rows, since their evidence in the store was changed or removed",
                registry
            )?,
            errors: register_int_counter_with_registry!(
                "crownest_collector_tables_errors_total",
                "Failures after which the tables were retried",
                registry
            )?,
        })
    }

    pub(super) fn written(&self, chunks: Chunks, rows: &Rows, took: Duration) {
        let is_chunk = chunks.first == chunks.last;
        self.files.with_label_values(&[if is_chunk { "batch" } else { "compacted" }]).inc_by(rows.len() as u64);
        self.seconds.observe(took.as_secs_f64());
        for (table, rows) in rows.iter().filter(|_| is_chunk) {
            self.rows.with_label_values(&[table.as_str()]).inc_by(*rows);
        }
    }
}
