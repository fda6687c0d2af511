//! Purges the bytes of deleted artifacts: writes the tombstone, deletes the object, notes that in the database. After a
//! crash between any two of these steps all of them are repeated.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use database::Client;
use futures_util::{StreamExt, stream};
use infra::s3::{Purged, Put};
use schemas::artifact::tombstone::Tombstone;

use super::metrics::RetentionMetrics;
use crate::context::Context;
use crate::db::artifacts;

/// Artifacts purged in one transaction. Few, since it locks their rows and keeps legal holds waiting.
pub(super) const GROUP: i64 = 32;
const CONCURRENT: usize = 16;
const DEADLINE: Duration = Duration::from_secs(10);
/// Delay before a failed purge is retried, so that it does not keep others from their turn.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// Delay before the next try for an object that the store locks for an unknown time.
const HELD_FOR: Duration = Duration::from_mins(10);

/// Purges one group; returns the number of artifacts that were due.
pub(super) async fn group(context: &Context, metrics: &RetentionMetrics, client: &mut Client) -> anyhow::Result<u64> {
    let transaction = client.transaction().await?;
    let due = artifacts::lock_purgeable(&transaction, GROUP).await?;
    let found = due.len() as u64;
    let ended: Vec<(Tombstone, Next)> = stream::iter(due)
        .map(|tombstone| async {
            let ended = purge(context, metrics, &tombstone).await;
            (tombstone, ended)
        })
        .buffer_unordered(CONCURRENT)
        .collect()
        .await;
    let (mut gone, mut later) = (Vec::new(), Vec::new());
    for (tombstone, ended) in &ended {
        match ended {
            Next::Gone => gone.push(tombstone.artifact_id.as_str()),
            Next::NotBefore(at) => later.push((tombstone.artifact_id.as_str(), *at)),
        }
    }
    artifacts::purged(&transaction, &gone).await?;
    artifacts::postpone(&transaction, &later).await?;
    transaction.commit().await?;
    for (tombstone, ended) in ended {
        if matches!(ended, Next::Gone) {
            let reason = &[tombstone.reason.as_str()];
            metrics.deleted.with_label_values(reason).inc();
            metrics.deleted_bytes.with_label_values(reason).inc_by(tombstone.size_bytes);
        }
    }
    Ok(found)
}

#[derive(Debug, Clone, Copy)]
enum Next {
    Gone,
    NotBefore(SystemTime),
}

async fn purge(context: &Context, metrics: &RetentionMetrics, tombstone: &Tombstone) -> Next {
    let (artifact, now) = (&tombstone.artifact_id, SystemTime::now());
    let purged = async {
        put(context, tombstone).await?;
        Ok::<_, anyhow::Error>(context.store.purge(&tombstone.object_key).await?)
    };
    let purged = match tokio::time::timeout(DEADLINE, purged).await {
        Ok(purged) => purged,
        Err(late) => Err(late.into()),
    };
    match purged {
        Ok(Purged::Gone) => Next::Gone,
        Ok(Purged::Locked { until }) => {
            metrics.locked.inc();
            tracing::warn!(%artifact, object_key = tombstone.object_key, "cannot purge a deleted artifact: the store locks its bytes; retrying when the lock ends");
            Next::NotBefore(until.unwrap_or(now + HELD_FOR))
        }
        Err(error) => {
            context.metrics.retries.with_label_values(&["purge"]).inc();
            tracing::warn!(%artifact, error = %format!("{error:#}"), "cannot purge a deleted artifact; retrying");
            Next::NotBefore(now + RETRY_AFTER)
        }
    }
}

/// Writes the tombstone. One that is there already must be about the same bytes; another version may have written it
/// differently.
async fn put(context: &Context, tombstone: &Tombstone) -> anyhow::Result<()> {
    let key = Tombstone::object_key(&tombstone.object_key).context("an artifact whose key has no folder")?;
    let body = schemas::canonical::to_vec(tombstone)?.into();
    if context.vault.put_new(&key, body, "application/json").await? == Put::Exists {
        let present: Tombstone = serde_json::from_slice(&context.store.get(&key).await?)
            .with_context(|| format!("object `{key}` exists and is not a tombstone"))?;
        anyhow::ensure!(present.is_of_same(tombstone), "object `{key}` exists and is the tombstone of something else");
    }
    Ok(())
}
