//! Seals ended runs: writes event log and Evidence Bundle to the object store, makes the runs terminal in one
//! transaction, and tells live readers. A repetition produces the same bytes.

mod attest;
mod bundle;
mod case;
mod ending;
pub(crate) mod event_log_parts;
mod finish;
mod fit;
mod gaps;
mod load;
mod usage;
pub(crate) mod worker;
mod write;

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use schemas::Timestamp;
use schemas::id::RunId;
use schemas::message::LiveRun;

use self::case::Case;
use self::write::Sealed;
use crate::context::Context;

/// Runs of a group that write to the object store at the same time.
const CONCURRENT_WRITES: usize = 8;

/// Seals those of the runs whose outcome is fixed and not yet durable.
pub(crate) async fn seal(context: &Context, runs: &[RunId]) -> anyhow::Result<()> {
    let cases = load::load(context, runs).await?;
    if cases.is_empty() {
        return Ok(());
    }
    context.signer.register(&context.pool).await?;
    let sealed: Vec<Sealed> = stream::iter(cases.into_iter().map(|case| write::write(context, case)))
        .buffer_unordered(CONCURRENT_WRITES)
        .try_collect()
        .await?;
    finish::finish(context, &sealed).await?;
    context.outbox.wake();
    let live = sealed.iter().map(|sealed| LiveRun {
        run_id: sealed.case.row.id.clone(),
        last_seq: sealed.terminal.last_seq,
        terminal: true,
    });
    context.announce(live.collect()).await;
    for sealed in &sealed {
        observe(context, &sealed.case);
    }
    Ok(())
}

fn observe(context: &Context, case: &Case) {
    let now = Timestamp::now();
    let seconds = |millis: u64| Duration::from_millis(millis).as_secs_f64();
    context.metrics.sealed.with_label_values(&[case.ending.outcome.as_str()]).inc();
    context.metrics.seal_seconds.observe(seconds(now.millis_since(case.decision.decided_at)));
    if let Some(queued_at) = case.row.queued_at {
        context.metrics.run_seconds.observe(seconds(case.decision.decided_at.millis_since(queued_at)));
    }
    let trace = infra::traceparent::trace_id(&case.row.traceparent);
    let (attempt, outcome) = (case.decision.attempt, case.ending.outcome);
    tracing::info!(run = %case.row.id, attempt, trace, %outcome, "sealed");
}
