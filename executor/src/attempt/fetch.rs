//! Fetches the tree of an archive: the archive is verified while it is downloaded, and extracted once
//! for each digest.

use schemas::Timestamp;
use schemas::message::PhaseTimes;
use schemas::run::FailureReason;
use tempfile::TempPath;

use super::download::{self, Download, FetchError, progress};
use super::{Attempt, Interrupted};
use crate::trees::{CacheError, CachedTree, TreeKey};

pub(super) async fn tree(attempt: &Attempt<'_>, times: &mut PhaseTimes) -> Result<CachedTree, Interrupted> {
    let archive = &attempt.job.archive;
    let failed = |reason, message: String| Interrupted::Failed { reason, message };
    let key = TreeKey::new(attempt.job.org_id.as_str(), &archive.sha256)
        .ok_or_else(|| failed(FailureReason::InternalError, "the archive has no valid digest".to_owned()))?
        .owned_by(attempt.context.host.tree_owner(attempt.slot.number));
    let mut fetched_at = None;
    let tree = attempt
        .context
        .cache
        .get(&key, async || {
            let path = download(attempt).await;
            fetched_at = Some(Timestamp::now());
            path
        })
        .await;
    let extracted_at = Timestamp::now();
    times.fetched_at = Some(fetched_at.unwrap_or(extracted_at));
    let tree = tree.map_err(|error| match error {
        CacheError::Fetch(error) => failed(error.reason(), error.to_string()),
        CacheError::Extract(error) => failed(error.failure_reason(), error.to_string()),
        CacheError::Io(error) => {
            tracing::error!(%error, "cannot keep an archive in the cache");
            failed(FailureReason::InternalError, "the archive cannot be kept on the executor's disk".to_owned())
        }
    })?;
    times.extracted_at = Some(extracted_at);
    Ok(tree)
}

async fn download(attempt: &Attempt<'_>) -> Result<TempPath, FetchError> {
    let archive = &attempt.job.archive;
    let Download { path, sha256, bytes } = download::object(attempt, &archive.key, Some(archive.size_bytes)).await?;
    if sha256 != archive.sha256 || bytes != archive.size_bytes {
        let (expected, expected_bytes) = (archive.sha256.clone(), archive.size_bytes);
        return Err(FetchError::Digest { got: sha256, got_bytes: bytes, expected, expected_bytes });
    }
    progress(attempt, bytes, archive.size_bytes).await;
    Ok(path)
}
