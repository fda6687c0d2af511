//! Spills: counts the bytes of each unfinished run that are in the database only, and moves them once they fill a part.

use std::collections::HashMap;

use schemas::id::RunId;

use crate::context::Context;
use crate::seal::event_log_parts::write_full_parts;

/// Bytes of each unfinished run in the database. The count is a hint: after a restart it begins at zero, and the seal
/// moves what is left.
#[derive(Debug, Default)]
pub(super) struct Spills(HashMap<RunId, u64>);

impl Spills {
    pub(super) fn count(&mut self, run: &RunId, bytes: u64) {
        *self.0.entry(run.clone()).or_default() += bytes;
    }

    pub(super) fn forget(&mut self, run: &RunId) {
        self.0.remove(run);
    }

    /// Writes the parts that are due. A failure leaves the segments in the database.
    pub(super) async fn write(&mut self, context: &Context) {
        let due: Vec<RunId> =
            self.0.iter().filter(|(_, bytes)| **bytes >= context.part_bytes).map(|(run, _)| run.clone()).collect();
        for run in due {
            match write_full_parts(context, &run).await {
                Ok(()) => {
                    self.0.insert(run, 0);
                }
                Err(error) => {
                    context.metrics.retries.with_label_values(&["spill"]).inc();
                    tracing::warn!(%run, error = %format!("{error:#}"), "cannot write a part of an event log; keeping it in the database");
                }
            }
        }
    }
}
