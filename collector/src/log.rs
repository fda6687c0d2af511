//! Event logs on their way to the object store: which segments form a part, and writing a part once.

use std::collections::HashMap;

use anyhow::Context;
use bytes::Bytes;
use infra::s3::{Put, Store};
use schemas::event_log::{Part, PartBuilder};
use schemas::evidence::EventLogPart;
use schemas::id::RunId;
use schemas::layout;
use sha2::{Digest, Sha256};

use crate::service::Parts;
use crate::tables::segments::StoredSegment;
use crate::tables::{log_parts, runs, segments};

const CONTENT_TYPE: &str = "application/zstd";

/// Counts what each running run has in the database, to know when a part is due. Only a hint: after a restart it
/// begins at zero, and the seal moves what is left.
#[derive(Debug, Default)]
pub(crate) struct Spills(HashMap<RunId, u64>);

impl Spills {
    pub(crate) fn count(&mut self, run: &RunId, bytes: u64) {
        *self.0.entry(run.clone()).or_default() += bytes;
    }

    pub(crate) fn forget(&mut self, run: &RunId) {
        self.0.remove(run);
    }

    /// Writes the parts that are due. A failure leaves the segments where they are.
    pub(crate) async fn write(&mut self, parts: &Parts) {
        let due: Vec<RunId> =
            self.0.iter().filter(|(_, bytes)| **bytes >= parts.part_bytes).map(|(run, _)| run.clone()).collect();
        for run in due {
            match write_full_parts(parts, &run).await {
                Ok(()) => {
                    self.0.insert(run, 0);
                }
                Err(error) => {
                    parts.metrics.retries.with_label_values(&["spill"]).inc();
                    tracing::warn!(%run, error = %format!("{error:#}"), "a part could not be written, it is kept in the database");
                }
            }
        }
    }
}

/// Moves full parts of one run to the object store, oldest first. Where a part ends depends on the stored segments
/// alone, so that a repetition after a crash writes the same bytes.
pub(crate) async fn write_full_parts(parts: &Parts, run: &RunId) -> anyhow::Result<()> {
    loop {
        let mut client = parts.pool.get().await?;
        let found = segments::first_of_runs(&client, &[run.as_str()], parts.part_bytes).await?;
        let Some(part) = found.get(run.as_str()).map(|segments| build(segments)) else { return Ok(()) };
        let Some(part) = part.finish().filter(|part| part.index_offset >= parts.part_bytes) else { return Ok(()) };
        let rows = runs::to_seal(&client, std::slice::from_ref(run)).await?;
        let (row, _) = rows.into_iter().next().context("the run is gone")?;
        let number = log_parts::of_runs(&client, &[run.as_str()]).await?.len();
        let stored = describe(&row.prefix(), number, &part);
        put_once(&parts.vault, &stored.object_key, part.bytes.into(), CONTENT_TYPE).await?;
        let transaction = client.transaction().await?;
        log_parts::insert(&transaction, run, number, &stored, &part.leaves).await?;
        segments::delete_through(&transaction, run, stored.last_seq).await?;
        transaction.commit().await?;
        parts.metrics.parts.inc();
    }
}

pub(crate) fn build(segments: &[StoredSegment]) -> PartBuilder {
    let mut builder = PartBuilder::default();
    for segment in segments {
        builder.push(segment.first_seq, segment.last_seq, segment.plain_bytes, &segment.frame);
    }
    builder
}

pub(crate) fn describe(prefix: &str, number: usize, part: &Part) -> EventLogPart {
    EventLogPart {
        object_key: format!("{prefix}/{}", layout::event_log_part(number)),
        size_bytes: part.bytes.len() as u64,
        sha256: part.sha256.clone(),
        first_seq: part.first_seq,
        last_seq: part.last_seq,
        index_offset: part.index_offset,
    }
}

/// Writes an object that never changes. If it is there already it must be the same, to the byte.
pub(crate) async fn put_once(store: &Store, key: &str, body: Bytes, content_type: &str) -> anyhow::Result<()> {
    if store.put_new(key, body.clone(), content_type).await? == Put::Exists {
        let present = store.get(key).await?;
        anyhow::ensure!(
            Sha256::digest(&present) == Sha256::digest(&body),
            "object `{key}` exists with other content ({} bytes, expected {})",
            present.len(),
            body.len()
        );
    }
    Ok(())
}

pub(crate) async fn put_part(store: &Store, part: &EventLogPart, body: Bytes) -> anyhow::Result<()> {
    put_once(store, &part.object_key, body, CONTENT_TYPE).await
}
