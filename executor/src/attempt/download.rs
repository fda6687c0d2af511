//! Downloads from the object store into a file of the work directory, with retries.

use std::time::{Duration, Instant};

use infra::s3::StoreError;
use schemas::event::EventKind;
use schemas::run::FailureReason;
use sha2::{Digest as _, Sha256};
use tempfile::{NamedTempFile, TempPath};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Attempt;

/// Time for which a store that does not answer is asked again.
const PATIENCE: Duration = Duration::from_secs(60);
const RETRY_DELAY: Duration = Duration::from_secs(1);
const BUFFER_BYTES: usize = 128 * 1024;
/// Bytes received between two reports of progress.
const PROGRESS_BYTES: u64 = 4 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the archive has SHA-256 {got} and {got_bytes} bytes, expected {expected} and {expected_bytes} bytes")]
    Digest { got: String, got_bytes: u64, expected: String, expected_bytes: u64 },
    #[error("it cannot be kept on the executor's disk")]
    Disk(#[from] std::io::Error),
}

impl FetchError {
    pub(super) fn reason(&self) -> FailureReason {
        match self {
            Self::Digest { .. } => FailureReason::ArchiveInvalid,
            Self::Store(_) | Self::Disk(_) => FailureReason::InternalError,
        }
    }

    /// True if a retry may succeed.
    fn is_passing(&self) -> bool {
        matches!(self, Self::Store(StoreError::Request { .. }))
    }
}

/// A downloaded object.
pub(super) struct Download {
    pub(super) path: TempPath,
    pub(super) sha256: String,
    pub(super) bytes: u64,
}

/// Downloads an object, with retries. With `told_bytes`, the expected size, the run's events tell the progress.
pub(super) async fn object(attempt: &Attempt<'_>, key: &str, told_bytes: Option<u64>) -> Result<Download, FetchError> {
    let begun = Instant::now();
    loop {
        match once(attempt, key, told_bytes).await {
            Err(error) if error.is_passing() && begun.elapsed() < PATIENCE => {
                tracing::warn!(key, "cannot download an object: {}; retrying", chain(&error));
                tokio::time::sleep(RETRY_DELAY).await;
            }
            result => {
                return result.inspect_err(|error| {
                    tracing::error!(key, "cannot download an object: {}", chain(error));
                });
            }
        }
    }
}

/// The error with all its causes, for the log: what a run is told has no words of others.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

async fn once(attempt: &Attempt<'_>, key: &str, told_bytes: Option<u64>) -> Result<Download, FetchError> {
    let (file, path) = NamedTempFile::new_in(&attempt.context.downloads)?.into_parts();
    let mut file = tokio::fs::File::from_std(file);
    let mut stream = attempt.context.store.get_stream(key, None).await?.into_async_read();
    let (mut digest, mut received, mut told) = (Sha256::new(), 0u64, 0u64);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = stream.read(&mut buffer).await.map_err(|error| StoreError::Request {
            action: "reading",
            key: key.to_owned(),
            reason: error.to_string().into(),
        })?;
        if read == 0 {
            break;
        }
        digest.update(&buffer[..read]);
        file.write_all(&buffer[..read]).await?;
        received += read as u64;
        if let Some(size_bytes) = told_bytes.filter(|_| received - told >= PROGRESS_BYTES) {
            told = received;
            progress(attempt, received, size_bytes).await;
        }
    }
    file.flush().await?;
    Ok(Download { path, sha256: hex::encode(digest.finalize()), bytes: received })
}

pub(super) async fn progress(attempt: &Attempt<'_>, received_bytes: u64, size_bytes: u64) {
    attempt.feed.event(EventKind::ArchiveProgress { received_bytes, size_bytes: Some(size_bytes) }).await;
}
