//! Receives an archive: hashes it while it streams into the store, and makes it visible only if it is what was
//! declared. Memory is bounded by one part of the store's upload, which is taken from the budget of all uploads when the first
//! bytes of the part have come.

use std::time::Duration;

use axum::body::Body;
use infra::s3::Store;
use schemas::id::OrgId;
use sha2::{Digest, Sha256};

use super::pace::Pace;
use super::staging::Staging;
use super::{CONTENT_TYPE, Declared, object_key};
use crate::app::App;
use crate::auth::Caller;
use crate::http::at_once::Place;
use crate::http::budget::Budget;
use crate::http::error::ApiError;

/// What an upload into the store keeps in memory: `infra::s3::Multipart` sends parts of this size.
const PART_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes read of a body that is refused, so that the client gets to read the refusal.
const DISCARD_BYTES: u64 = 16 * 1024 * 1024;
const DISCARD_TIME: Duration = Duration::from_secs(10);

/// Says whether the received bytes are stored, or only verified because they are stored already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storing {
    Store,
    VerifyOnly,
}

#[derive(Debug)]
pub(crate) struct Receiver<'a> {
    store: &'a Store,
    org: &'a OrgId,
    buffers: &'a Budget,
    /// Longest silence between two pieces of the body.
    idle: Duration,
    least_per_second: u64,
    /// One of the uploads that the key may make at once.
    _place: Place,
}

impl<'a> Receiver<'a> {
    /// Waits until the key may make another upload.
    pub(crate) async fn new(app: &'a App, caller: &'a Caller) -> Result<Self, ApiError> {
        let place = app.uploads.enter(caller.credential(), Duration::from_millis(app.config.buffer_wait_ms)).await?;
        Ok(Self {
            store: &app.store,
            org: caller.org(),
            buffers: &app.upload_buffers,
            idle: Duration::from_millis(app.config.body_idle_timeout_ms),
            least_per_second: app.config.body_min_bytes_per_second,
            _place: place,
        })
    }

    /// Returns once the archive is verified and durable.
    pub(crate) async fn receive(&self, body: Body, declared: &Declared, storing: Storing) -> Result<(), ApiError> {
        let key = object_key(self.org, &declared.sha256);
        let mut staging = (storing == Storing::Store).then(|| Staging::begin(self.store, &key, CONTENT_TYPE));
        let mut body = body;
        let mut pace = Pace::new(self.idle, self.least_per_second);
        let (mut hasher, mut received) = (Sha256::new(), 0u64);
        // The bytes of the current part, and where that part ends.
        let (mut held, mut part_end) = (None, PART_BYTES);
        while let Some(piece) = pace.next(&mut body).await? {
            let left = declared.size_bytes.saturating_sub(received);
            received += piece.len() as u64;
            if received > declared.size_bytes {
                return Err(declared.size_mismatch(received));
            }
            hasher.update(&piece);
            if let Some(staging) = &mut staging {
                if held.is_none() {
                    match self.buffers.take_in_time(self.org, left.min(PART_BYTES)).await {
                        Ok(taken) => held = Some(taken),
                        Err(error) => {
                            discard(body).await;
                            return Err(error);
                        }
                    }
                }
                staging.write(&piece).await?;
                if received >= part_end {
                    // Between two parts, those who wait get their turn.
                    held = None;
                    part_end += PART_BYTES;
                }
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

/// Reads a bounded rest of an unwanted body: many clients read no answer before they have sent everything.
pub(crate) async fn discard(body: Body) {
    let mut body = body;
    let mut pace = Pace::new(DISCARD_TIME, 0);
    let reading = async {
        let mut read = 0;
        while read < DISCARD_BYTES {
            match pace.next(&mut body).await {
                Ok(Some(piece)) => read += piece.len() as u64,
                _ => return,
            }
        }
    };
    // A client that needs longer finds the connection closed.
    let _ = tokio::time::timeout(DISCARD_TIME, reading).await;
}
