//! The phases of an attempt, in order.

use std::time::Instant;

use schemas::Timestamp;
use schemas::message::{RunEnd, Verdict};
use schemas::run::RunStatus;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::record::Record;
use super::{Attempt, AttemptEnd, Interrupted, Trees, command, environment, fetch, stopped, template};
use crate::dispatch::running::Stop;

pub(crate) async fn run(
    attempt: Attempt<'_>,
    stop: watch::Receiver<Option<Stop>>,
    abort: CancellationToken,
) -> AttemptEnd {
    let mut record = Record::new(attempt.claimed_at);
    let verdict = match phases(&attempt, &mut record, stop, &abort).await {
        Ok(verdict) => verdict,
        Err(Interrupted::Canceled) => Verdict::Canceled,
        Err(Interrupted::Failed { reason, message }) => {
            record.message = Some(message);
            Verdict::Failed { reason }
        }
        Err(Interrupted::Silent) => {
            tracing::warn!("the attempt stops without a report: a newer one has the run, or this executor shuts down");
            attempt.context.metrics.attempts.with_label_values(&["silent"]).inc();
            return AttemptEnd::Unreported;
        }
    };
    let ended = match &verdict {
        Verdict::Exited { .. } => "exited",
        Verdict::Failed { reason } => reason.as_str(),
        Verdict::Canceled => "canceled",
    };
    record.times.ended_at = Timestamp::now();
    let exit_code = record.exit_code;
    let end = RunEnd::Finished(Box::new(record.into_finished(&attempt, verdict)));
    attempt.context.metrics.attempts.with_label_values(&[ended]).inc();
    let reporting = Instant::now();
    let sent = attempt.feed.end(end).await;
    attempt.context.metrics.phase("report", reporting);
    match sent {
        Ok(()) => {
            tracing::info!(ended, exit_code, "attempt ended");
            AttemptEnd::Reported
        }
        Err(error) => {
            tracing::error!(%error, "cannot publish the ending; the job will be redelivered");
            AttemptEnd::Unreported
        }
    }
}

async fn phases(
    attempt: &Attempt<'_>,
    record: &mut Record,
    mut stop: watch::Receiver<Option<Stop>>,
    abort: &CancellationToken,
) -> Result<Verdict, Interrupted> {
    let (context, feed) = (attempt.context, &attempt.feed);
    feed.status(RunStatus::Starting).await;
    let env = environment::open(attempt)?;
    let begun = Instant::now();
    feed.status(RunStatus::Extracting).await;
    let (tree, template) = {
        let trees =
            Box::pin(async { tokio::try_join!(fetch::tree(attempt, &mut record.times), template::tree(attempt)) });
        tokio::select! {
            trees = trees => trees?,
            interrupted = stopped(&mut stop, abort) => return Err(interrupted),
        }
    };
    context.metrics.phase("extract", begun);
    let trees = Trees { archive: tree, template };
    let verdict = command::run(attempt, &trees, &env, record, stop, abort).await;
    // Pinned until the mounts of them are gone.
    drop(trees);
    verdict
}
