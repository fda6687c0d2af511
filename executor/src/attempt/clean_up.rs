//! The end of a sandbox: kernel counters into the record, and every trace removed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use schemas::message::Resources;
use schemas::run::CleanupStatus;
use tracing::Instrument as _;

use super::command::millis;
use super::record::Record;
use super::{Attempt, Trees};
use crate::dispatch::halt::Halt;
use sandbox::{Finished, Sandbox};

/// Time for the clean-up of an attempt that was told to stop: most take some milliseconds.
const WITHIN: Duration = Duration::from_secs(1);

/// Removes the sandbox. An attempt that is told to stop does not wait for long: the clean-up goes on behind it. Its
/// trees are in use until it has ended, and so is its slot (`SandboxHost::settle`).
pub(super) async fn sandbox(
    attempt: &Attempt<'_>,
    record: &mut Record,
    sandbox: Sandbox,
    trees: Arc<Trees>,
    begun: Instant,
    halt: &Halt,
) {
    let finishing = async move {
        let finished = sandbox.finish().await;
        if let Err(error) = &finished.cleanup {
            tracing::error!(%error, "a sandbox was not completely removed");
        }
        drop(trees);
        finished
    };
    let finishing = tokio::spawn(finishing.in_current_span());
    let finished = tokio::select! {
        finished = finishing => Some(finished),
        () = overdue(halt) => None,
    };
    record.times.sandbox_ms = millis(begun.elapsed());
    match finished {
        Some(Ok(finished)) => note(attempt, record, &finished),
        Some(Err(error)) => {
            tracing::error!(%error, "the clean-up of a sandbox broke");
            record.cleanup = CleanupStatus::Failed;
        }
        None => record.cleanup = CleanupStatus::Pending,
    }
}

/// Returns when an attempt that was told to stop waits no longer.
async fn overdue(halt: &Halt) {
    halt.told().await;
    tokio::time::sleep(WITHIN).await;
}

fn note(attempt: &Attempt<'_>, record: &mut Record, finished: &Finished) {
    record.oom_killed = finished.oom_killed;
    record.disk = finished.disk;
    let disk_full = finished.disk.is_some_and(|disk| disk.is_full);
    for (limit, reached) in [("memory", record.oom_killed), ("disk", disk_full)] {
        if reached {
            attempt.context.metrics.limits_reached.with_label_values(&[limit]).inc();
        }
    }
    attempt.context.metrics.cpu_throttled_ms.inc_by(finished.usage.cpu_throttled_ms.unwrap_or(0));
    record.resources = Resources {
        cpu_user_ms: finished.usage.cpu_user_ms,
        cpu_system_ms: finished.usage.cpu_system_ms,
        cpu_throttled_ms: finished.usage.cpu_throttled_ms,
        memory_peak_bytes: finished.usage.memory_peak_bytes,
        io_read_bytes: finished.usage.io_read_bytes,
        io_write_bytes: finished.usage.io_write_bytes,
        pids_peak: finished.usage.pids_peak,
        disk_used_bytes: finished.disk.map(|disk| disk.used_bytes),
    };
    record.cleanup = if finished.cleanup.is_ok() { CleanupStatus::Succeeded } else { CleanupStatus::Failed };
}
