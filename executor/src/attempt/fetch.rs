//! From the object store to an extracted tree: the archive is verified while it is downloaded, and extracted once
//! for each digest.

use std::time::Duration;

use infra::s3::StoreError;
use schemas::Timestamp;
use schemas::event::EventKind;
use schemas::message::PhaseTimes;
use schemas::run::FailureReason;
use sha2::{Digest, Sha256};
use tempfile::{NamedTempFile, TempPath};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Attempt, Interrupted};
use crate::archive::{CacheError, CachedTree, TreeKey};

const DOWNLOAD_TRIES: u32 = 5;
const RETRY_DELAY: Duration = Duration::from_millis(500);
const BUFFER_BYTES: usize = 128 * 1024;
/// How often progress is told, in bytes received.
const PROGRESS_BYTES: u64 = 4 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the archive has SHA-256 {got} and {got_bytes} bytes, expected {expected} and {expected_bytes} bytes")]
    Digest { got: String, got_bytes: u64, expected: String, expected_bytes: u64 },
    #[error("the archive cannot be kept on the executor's disk: {0}")]
    Disk(#[from] std::io::Error),
}

impl FetchError {
    fn reason(&self) -> FailureReason {
        match self {
            Self::Digest { .. } => FailureReason::ArchiveInvalid,
            Self::Store(_) | Self::Disk(_) => FailureReason::InternalError,
        }
    }

    /// Whether the same might work in a moment.
    fn is_passing(&self) -> bool {
        matches!(self, Self::Store(StoreError::Request { .. }))
    }
}

pub(super) async fn tree(attempt: &Attempt<'_>, times: &mut PhaseTimes) -> Result<CachedTree, Interrupted> {
    let archive = &attempt.job.archive;
    let failed = |reason, message: String| Interrupted::Failed { reason, message };
    let key = TreeKey::new(attempt.job.org_id.as_str(), &archive.sha256)
        .ok_or_else(|| failed(FailureReason::InternalError, "the archive has no valid digest".to_owned()))?;
    let mut fetched_at = None;
    let tree = attempt
        .parts
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
        CacheError::Io(error) => failed(FailureReason::InternalError, format!("archive cache: {error}")),
    })?;
    times.extracted_at = Some(extracted_at);
    Ok(tree)
}

async fn download(attempt: &Attempt<'_>) -> Result<TempPath, FetchError> {
    let mut tries = 1;
    loop {
        match try_download(attempt).await {
            Err(error) if error.is_passing() && tries < DOWNLOAD_TRIES => {
                tracing::warn!(%error, tries, "the archive could not be downloaded, trying again");
                tokio::time::sleep(RETRY_DELAY * tries).await;
                tries += 1;
            }
            result => return result,
        }
    }
}

async fn try_download(attempt: &Attempt<'_>) -> Result<TempPath, FetchError> {
    let archive = &attempt.job.archive;
    let (file, path) = NamedTempFile::new_in(&attempt.parts.downloads)?.into_parts();
    let mut file = tokio::fs::File::from_std(file);
    let mut stream = attempt.parts.store.get_stream(&archive.key, None).await?.into_async_read();
    let (mut digest, mut received, mut told) = (Sha256::new(), 0u64, 0u64);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = stream.read(&mut buffer).await.map_err(|error| StoreError::Request {
            action: "reading",
            key: archive.key.clone(),
            reason: error.to_string(),
        })?;
        if read == 0 {
            break;
        }
        digest.update(&buffer[..read]);
        file.write_all(&buffer[..read]).await?;
        received += read as u64;
        if received - told >= PROGRESS_BYTES {
            told = received;
            progress(attempt, received).await;
        }
    }
    file.flush().await?;
    let got = hex::encode(digest.finalize());
    if got != archive.sha256 || received != archive.size_bytes {
        let (expected, expected_bytes) = (archive.sha256.clone(), archive.size_bytes);
        return Err(FetchError::Digest { got, got_bytes: received, expected, expected_bytes });
    }
    progress(attempt, received).await;
    Ok(path)
}

async fn progress(attempt: &Attempt<'_>, received_bytes: u64) {
    let size_bytes = Some(attempt.job.archive.size_bytes);
    attempt.feed.event(EventKind::ArchiveProgress { received_bytes, size_bytes }).await;
}
