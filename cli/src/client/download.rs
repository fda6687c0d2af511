//! The bytes of something stored, piece by piece. A broken download goes on where it stopped; the digest covers all pieces.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::RANGE;
use reqwest::{Method, Response, StatusCode};
use schemas::id::{ArtifactId, RunId};
use sha2::{Digest as _, Sha256};

use super::answer;
use super::retry::{Backoff, retrying};
use super::transport::{Client, REQUEST_TIMEOUT};
use crate::failure::Failure;

/// Longest silence in the middle of a download.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// Consecutive broken attempts of a download without a single new byte.
const MAX_BREAKS: u32 = 5;

#[derive(Debug)]
pub(crate) struct Download<'a> {
    client: &'a Client,
    path: String,
    response: Option<Response>,
    received_bytes: u64,
    digest: Sha256,
    breaks: u32,
    backoff: Backoff,
}

impl<'a> Download<'a> {
    pub(crate) async fn artifact(client: &'a Client, id: &ArtifactId) -> Result<Self, Failure> {
        Self::open(client, format!("v1/artifacts/{id}/download")).await
    }

    /// The tombstone of a deleted artifact.
    pub(crate) async fn tombstone(client: &'a Client, id: &ArtifactId) -> Result<Self, Failure> {
        Self::open(client, format!("v1/artifacts/{id}/tombstone")).await
    }

    /// A part of the sealed event log.
    pub(crate) async fn event_log_part(client: &'a Client, run: &RunId, number: usize) -> Result<Self, Failure> {
        Self::open(client, format!("v1/workspace-runs/{run}/evidence/event-log/{number}")).await
    }

    async fn open(client: &'a Client, path: String) -> Result<Self, Failure> {
        let response = Some(request(client, &path, 0).await?);
        Ok(Self {
            client,
            path,
            response,
            received_bytes: 0,
            digest: Sha256::new(),
            breaks: 0,
            backoff: Backoff::new(),
        })
    }

    /// The next piece, or `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let response = match &mut self.response {
                Some(response) => response,
                none => none.insert(request(self.client, &self.path, self.received_bytes).await?),
            };
            let failure = match tokio::time::timeout(IDLE_TIMEOUT, response.chunk()).await {
                Ok(Ok(Some(piece))) => {
                    self.received_bytes += piece.len() as u64;
                    self.digest.update(&piece);
                    (self.breaks, self.backoff) = (0, Backoff::new());
                    return Ok(Some(piece));
                }
                Ok(Ok(None)) => return Ok(None),
                Ok(Err(error)) => answer::network(error),
                Err(_) => Failure::new("timeout", "the download stalled").retryable(),
            };
            self.response = None;
            self.breaks += 1;
            match self.backoff.delay(None) {
                Some(delay) if self.breaks <= MAX_BREAKS => tokio::time::sleep(delay).await,
                _ => return Err(failure),
            }
        }
    }

    /// The size in bytes and the SHA-256, in lower-case hexadecimal, of everything received.
    pub(crate) fn finish(self) -> (u64, String) {
        (self.received_bytes, hex::encode(self.digest.finalize()))
    }
}

async fn request(client: &Client, path: &str, offset: u64) -> Result<Response, Failure> {
    retrying(|| async {
        let mut request = client.request(Method::GET, client.url(path)?, None);
        if offset > 0 {
            request = request.header(RANGE, format!("bytes={offset}-"));
        }
        let sent = tokio::time::timeout(REQUEST_TIMEOUT, request.send()).await;
        let response = sent.map_err(|_| Failure::new("timeout", "no answer to the download request").retryable())?;
        let response = answer::successful(response.map_err(answer::network)?).await?;
        if offset > 0 && response.status() != StatusCode::PARTIAL_CONTENT {
            return Err(Failure::new("network_error", "the download broke, and the server cannot continue it"));
        }
        Ok(response)
    })
    .await
}
