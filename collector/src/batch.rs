//! Stores one batch of event messages in one transaction: fencing, order and duplicates are decided there.

use anyhow::Context;
use schemas::Timestamp;
use schemas::message::{EventMessage, LiveRun};

use crate::service::Parts;
use crate::tables::{gaps, runs, seals, segments};
pub(crate) use runs::Verdict;

/// What became of a batch.
#[derive(Debug)]
pub(crate) struct Stored {
    /// One for each message, in order.
    pub verdicts: Vec<Verdict>,
    /// What is new for live readers.
    pub live: Vec<LiveRun>,
}

pub(crate) async fn store<'a>(
    parts: &Parts,
    messages: impl Iterator<Item = &'a EventMessage>,
) -> anyhow::Result<Stored> {
    let messages: Vec<&EventMessage> = messages.collect();
    let mut client = parts.pool.get().await.context("no database connection")?;
    let transaction = client.transaction().await?;
    let advanced = runs::advance(&transaction, &messages).await?;
    let decided_at = Timestamp::now();
    let (mut new_segments, mut new_gaps, mut new_seals) = (Vec::new(), Vec::new(), Vec::new());
    let mut live: Vec<LiveRun> = Vec::new();
    for (message, step) in messages.iter().zip(&advanced) {
        if step.verdict != Verdict::New {
            continue;
        }
        if let Some(segment) = &message.segment {
            new_segments.push((&message.run_id, message.attempt, segment));
            if let Some(first_seq) = step.gap_from {
                tracing::error!(run = %message.run_id, first_seq, "events are missing, the gap is recorded");
                new_gaps.push((&message.run_id, first_seq, segment.first_seq - 1));
            }
        }
        let last_seq = step.next_seq - 1;
        if let Some(end) = &message.end {
            new_seals.push(seals::Decision {
                run: &message.run_id,
                attempt: message.attempt,
                end,
                decided_at,
                last_seq,
            });
        }
        match live.iter_mut().find(|run| run.run_id == message.run_id) {
            Some(run) => run.last_seq = last_seq,
            None => live.push(LiveRun { run_id: message.run_id.clone(), last_seq, terminal: false }),
        }
    }
    // They travel together: none needs the answer of another.
    tokio::try_join!(
        async { Ok(segments::insert(&transaction, &new_segments).await?) },
        async { Ok(gaps::insert(&transaction, &new_gaps).await?) },
        seals::decide(&transaction, &new_seals),
    )?;
    transaction.commit().await?;
    Ok(Stored { verdicts: advanced.into_iter().map(|step| step.verdict).collect(), live })
}

/// Whether the same messages would be refused again: the database understood them and said no, or they hold numbers
/// that it cannot hold.
pub(crate) fn is_refused(error: &anyhow::Error) -> bool {
    // Classes of SQLSTATE: data exception, constraint violation, syntax or access rule, error raised by a function.
    const REFUSALS: [&str; 4] = ["22", "23", "42", "P0"];
    let refused = |error: &database::Error| {
        error.code().is_some_and(|code| REFUSALS.iter().any(|class| code.code().starts_with(class)))
    };
    error.downcast_ref::<database::Error>().is_some_and(refused) || error.is::<std::num::TryFromIntError>()
}
