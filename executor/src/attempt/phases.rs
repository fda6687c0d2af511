//! The phases of an attempt, in order.

use std::sync::Arc;
use std::time::Instant;

use schemas::Timestamp;
use schemas::message::{RunEnd, Verdict};
use schemas::run::RunStatus;

use super::record::Record;
use super::{Attempt, AttemptEnd, Interrupted, Trees, command, environment, fetch, template};
use crate::dispatch::halt::Halt;

pub(crate) async fn run(attempt: Attempt<'_>, halt: &Halt) -> AttemptEnd {
    let mut record = Record::new(attempt.claimed_at);
    let verdict = match phases(&attempt, &mut record, halt).await {
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

async fn phases(attempt: &Attempt<'_>, record: &mut Record, halt: &Halt) -> Result<Verdict, Interrupted> {
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
            stop = halt.told() => return Err(stop.into()),
        }
    };
    context.metrics.phase("extract", begun);
    let trees = Trees { archive: tree, template };
    command::run(attempt, Arc::new(trees), &env, record, halt).await
}
