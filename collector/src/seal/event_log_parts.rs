//! Parts of event logs in the object store: which segments form a part, and how a part is written.

use anyhow::Context as _;
use schemas::evidence::EventLogPart;
use schemas::evidence::event_log::{Part, PartBuilder};
use schemas::id::RunId;
use schemas::layout;

use crate::context::Context;
use crate::db::segments::StoredSegment;
use crate::db::{log_parts, runs, segments};
use crate::put_once::put_once;

pub(super) const CONTENT_TYPE: &str = "application/zstd";

/// Moves full parts of one run to the object store, oldest first. The stored segments alone decide where a part ends,
/// so that a repetition after a crash writes the same bytes.
pub(crate) async fn write_full_parts(context: &Context, run: &RunId) -> anyhow::Result<()> {
    loop {
        let mut client = context.pool.get().await?;
        let mut found = segments::first_of_runs(&client, &[run.as_str()], context.part_bytes).await?;
        let Some(segments) = found.remove(run) else { return Ok(()) };
        let written = log_parts::of_runs(&client, &[run.as_str()]).await?;
        let part = build(&in_order(run, written.last().map_or(0, |part| part.part.last_seq), segments));
        let Some(part) = part.finish().filter(|part| part.index_offset >= context.part_bytes) else { return Ok(()) };
        let rows = runs::to_seal(&client, std::slice::from_ref(run)).await?;
        let (row, _) = rows.into_iter().next().context("the run is gone")?;
        let number = written.len();
        let stored = describe(&row.prefix(), number, &part);
        put_once(&context.vault, &stored.object_key, part.bytes.into(), CONTENT_TYPE).await?;
        let transaction = client.transaction().await?;
        log_parts::insert(&transaction, run, number, &stored, &part.leaves).await?;
        segments::delete_through(&transaction, run, stored.last_seq).await?;
        transaction.commit().await?;
        context.metrics.parts.inc();
    }
}

/// Leaves out segments that do not follow those before them, so that no number is in the log twice. The intake stores none;
/// what is missing without them is a gap.
pub(super) fn in_order(run: &RunId, after: u64, segments: Vec<StoredSegment>) -> Vec<StoredSegment> {
    let mut last = after;
    let follows = |segment: &StoredSegment| {
        let follows = segment.first_seq > last && segment.last_seq >= segment.first_seq;
        if follows {
            last = segment.last_seq;
        } else if segment.last_seq > after {
            tracing::error!(%run, first_seq = segment.first_seq, "a stored segment overlaps the one before it; leaving it out");
        }
        follows
    };
    segments.into_iter().filter(follows).collect()
}

pub(super) fn build(segments: &[StoredSegment]) -> PartBuilder {
    let mut builder = PartBuilder::default();
    for segment in segments {
        builder.push(segment.first_seq, segment.last_seq, segment.plain_bytes, &segment.frame);
    }
    builder
}

/// The entry of a part in the Evidence Bundle; `number` counts from 0.
pub(super) fn describe(prefix: &str, number: usize, part: &Part) -> EventLogPart {
    EventLogPart {
        object_key: format!("{prefix}/{}", layout::event_log_part(number)),
        size_bytes: part.bytes.len() as u64,
        sha256: part.sha256.clone(),
        first_seq: part.first_seq,
        last_seq: part.last_seq,
        index_offset: part.index_offset,
    }
}
