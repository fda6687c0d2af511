//! Stores one group of event messages in one transaction, where fencing, order and duplicates are decided.

use anyhow::Context as _;
use schemas::Timestamp;
use schemas::message::{EventMessage, LiveRun};

use crate::context::Context;
use crate::db::runs::{self, Standing};
use crate::db::{gaps, seals, segments};

/// The outcome of a stored group.
#[derive(Debug)]
pub(super) struct Stored {
    /// One for each message, in order.
    pub standings: Vec<Standing>,
    /// News for live readers.
    pub live: Vec<LiveRun>,
}

pub(super) async fn store<'a>(
    context: &Context,
    messages: impl Iterator<Item = &'a EventMessage>,
) -> anyhow::Result<Stored> {
    let messages: Vec<&EventMessage> = messages.collect();
    let mut client = context.pool.get().await.context("no database connection")?;
    let transaction = client.transaction().await?;
    let advanced = runs::advance(&transaction, &messages).await?;
    let decided_at = Timestamp::now();
    let (mut new_segments, mut new_gaps, mut new_seals) = (Vec::new(), Vec::new(), Vec::new());
    let mut live: Vec<LiveRun> = Vec::new();
    for (message, step) in messages.iter().zip(&advanced) {
        if step.standing != Standing::New {
            continue;
        }
        if let Some(segment) = message.segment.as_ref().filter(|_| step.is_new_segment) {
            new_segments.push((&message.run_id, message.attempt, segment));
            if let Some(first_seq) = step.gap_from {
                tracing::error!(run = %message.run_id, first_seq, "events are missing; recording the gap");
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
    // Independent statements, pipelined on one connection.
    tokio::try_join!(
        async { Ok(segments::insert(&transaction, &new_segments).await?) },
        gaps::insert(&transaction, &new_gaps),
        async { Ok(seals::decide(&transaction, &new_seals).await?) },
    )?;
    transaction.commit().await?;
    Ok(Stored { standings: advanced.into_iter().map(|step| step.standing).collect(), live })
}
