//! Receives an archive: hashes it while it streams into the store, and makes it visible only if it is what was
//! declared. Memory is bounded by one part of the store's upload.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use infra::s3::Store;
use schemas::id::OrgId;
use sha2::{Digest, Sha256};

use super::staging::Staging;
use super::{CONTENT_TYPE, Declared, object_key};
use crate::http::error::ApiError;

/// Bytes read of a body that is refused, so that the client gets to read the refusal.
const DISCARD_BYTES: u64 = 16 * 1024 * 1024;
const DISCARD_TIME: Duration = Duration::from_secs(10);

/// Says whether the received bytes are stored, or only verified because they are stored already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storing {
    Store,
    VerifyOnly,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Receiver<'a> {
    pub store: &'a Store,
    pub org: &'a OrgId,
    /// Longest silence between two pieces of the body.
    pub idle: Duration,
}

impl Receiver<'_> {
    /// Returns once the archive is verified and durable.
    pub(crate) async fn receive(&self, body: Body, declared: &Declared, storing: Storing) -> Result<(), ApiError> {
        let key = object_key(self.org, &declared.sha256);
        let mut staging = (storing == Storing::Store).then(|| Staging::begin(self.store, &key, CONTENT_TYPE));
        let mut body = body;
        let (mut hasher, mut received) = (Sha256::new(), 0u64);
        while let Some(piece) = next_piece(&mut body, self.idle).await? {
            received += piece.len() as u64;
            if received > declared.size_bytes {
                return Err(declared.size_mismatch(received));
            }
            hasher.update(&piece);
            if let Some(staging) = &mut staging {
                staging.write(&piece).await?;
            }
        }
        if received != declared.size_bytes {
            return Err(declared.size_mismatch(received));
        }
        let digest = hex::encode(hasher.finalize());
        if digest != declared.sha256 {
            return Err(declared.checksum_mismatch(&digest));
        }
        if let Some(staging) = staging {
            staging.finish().await?;
        }
        Ok(())
    }
}

async fn next_piece(body: &mut Body, idle: Duration) -> Result<Option<Bytes>, ApiError> {
    loop {
        let frame = tokio::time::timeout(idle, body.frame())
            .await
            .map_err(|_| ApiError::invalid(format!("No bytes of the body arrived for {} ms.", idle.as_millis())))?;
        match frame {
            None => return Ok(None),
            Some(Err(_)) => return Err(ApiError::invalid("The body ended before it was complete.")),
            // Trailers are not part of the archive.
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// Reads a bounded rest of an unwanted body: many clients read no answer before they have sent everything.
pub(crate) async fn discard(body: Body) {
    let mut body = body;
    let reading = async {
        let mut read = 0;
        while read < DISCARD_BYTES {
            match next_piece(&mut body, DISCARD_TIME).await {
                Ok(Some(piece)) => read += piece.len() as u64,
                _ => return,
            }
        }
    };
    // A client that needs longer finds the connection closed.
    let _ = tokio::time::timeout(DISCARD_TIME, reading).await;
}
