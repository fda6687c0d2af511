//! Streams into the store: small ones as one put, larger ones as a multipart upload in constant memory. Nothing is
//! visible before `finish`. A dropped upload is given up, and the store discards its parts.

use std::time::{Duration, Instant};

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};

use super::store::{Store, StoreError};

/// Length of every part but the last (S3 requires at least 5 MiB), and of the buffer in memory.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// Pause before a refused request is sent again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// An object being written, in order.
#[derive(Debug)]
pub struct Multipart {
    store: Store,
    key: String,
    content_type: String,
    buffer: BytesMut,
    upload_id: Option<String>,
    parts: Vec<CompletedPart>,
    patience: Duration,
}

impl Store {
    /// Begins an object of unknown length. The finished object replaces an existing one. Where space is kept back for what
    /// is sealed, streams do not use it.
    pub fn begin(&self, key: &str, content_type: &str) -> Multipart {
        Multipart {
            store: self.clone(),
            key: key.to_owned(),
            content_type: content_type.to_owned(),
            buffer: BytesMut::new(),
            upload_id: None,
            parts: Vec::new(),
            patience: Duration::ZERO,
        }
    }
}

impl Multipart {
    /// Sends what the store refuses again, for so long each time.
    #[must_use]
    pub fn patient(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    pub async fn write(&mut self, mut data: &[u8]) -> Result<(), StoreError> {
        while !data.is_empty() {
            let room = PART_BYTES - self.buffer.len();
            let (now, later) = data.split_at(room.min(data.len()));
            self.buffer.extend_from_slice(now);
            data = later;
            if self.buffer.len() == PART_BYTES {
                self.send_part().await?;
            }
        }
        Ok(())
    }

    /// Makes the object visible.
    pub async fn finish(mut self) -> Result<(), StoreError> {
        let Some(upload_id) = self.upload_id.clone() else {
            let body = self.buffer.split().freeze();
            return self.patiently(|| self.put_whole(body.clone())).await;
        };
        if !self.buffer.is_empty() {
            self.send_part().await?;
        }
        let parts = CompletedMultipartUpload::builder().set_parts(Some(std::mem::take(&mut self.parts))).build();
        self.patiently(|| self.complete(&upload_id, parts.clone())).await?;
        self.upload_id = None;
        Ok(())
    }

    /// Gives up; the store discards the parts that were sent.
    pub async fn abort(mut self) {
        if let Some(upload_id) = self.upload_id.take() {
            discard(self.store.clone(), std::mem::take(&mut self.key), upload_id).await;
        }
    }

    /// Sends one byte as a part, and gives up.
    pub(super) async fn rehearse(mut self) -> Result<(), StoreError> {
        self.buffer.extend_from_slice(b"x");
        self.send_part().await?;
        self.abort().await;
        Ok(())
    }

    async fn send_part(&mut self) -> Result<(), StoreError> {
        let upload_id = if let Some(id) = &self.upload_id {
            id.clone()
        } else {
            let id = self.patiently(|| self.create()).await?;
            self.upload_id.insert(id).clone()
        };
        let number = i32::try_from(self.parts.len() + 1).unwrap_or(i32::MAX);
        let body = self.buffer.split().freeze();
        let part = self.patiently(|| self.part(&upload_id, number, body.clone())).await?;
        self.parts.push(part);
        Ok(())
    }

    /// Repeats a request until the patience for it is used up.
    async fn patiently<T, F>(&self, request: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let begun = Instant::now();
        loop {
            let sent = match self.store.room() {
                Ok(()) => request().await,
                Err(error) => Err(error),
            };
            match sent {
                Err(error) if begun.elapsed() < self.patience => {
                    tracing::warn!(key = self.key, %error, "cannot write to the store; retrying");
                    tokio::time::sleep(RETRY_DELAY).await;
                }
                done => return done,
            }
        }
    }

    async fn create(&self) -> Result<String, StoreError> {
        let request = self.store.client.create_multipart_upload().bucket(&self.store.bucket).key(&self.key);
        let created = request.content_type(&self.content_type).send().await;
        let created = created.map_err(|error| StoreError::from_sdk("beginning", &self.key, error))?;
        created.upload_id.ok_or_else(|| StoreError::Request {
            action: "beginning",
            key: self.key.clone(),
            reason: "the store named no upload id".to_owned().into(),
        })
    }

    async fn part(&self, upload_id: &str, number: i32, body: Bytes) -> Result<CompletedPart, StoreError> {
        let request = self.store.client.upload_part().bucket(&self.store.bucket).key(&self.key);
        let request = request.upload_id(upload_id).part_number(number).body(ByteStream::from(body));
        let sent = request.send().await.map_err(|error| StoreError::from_sdk("writing a part", &self.key, error))?;
        Ok(CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).build())
    }

    async fn complete(&self, upload_id: &str, parts: CompletedMultipartUpload) -> Result<(), StoreError> {
        let request = self.store.client.complete_multipart_upload().bucket(&self.store.bucket).key(&self.key);
        let sent = request.upload_id(upload_id).multipart_upload(parts).send().await;
        sent.map(drop).map_err(|error| StoreError::from_sdk("completing", &self.key, error))
    }

    async fn put_whole(&self, body: Bytes) -> Result<(), StoreError> {
        let request = self.store.client.put_object().bucket(&self.store.bucket).key(&self.key);
        let sent = request.content_type(&self.content_type).body(ByteStream::from(body)).send().await;
        sent.map(drop).map_err(|error| StoreError::from_sdk("writing", &self.key, error))
    }
}

impl Drop for Multipart {
    fn drop(&mut self) {
        let Some(upload_id) = self.upload_id.take() else { return };
        // Dropped outside the runtime, at the end of the process, it is left to the store's lifecycle rule.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(discard(self.store.clone(), std::mem::take(&mut self.key), upload_id));
        }
    }
}

async fn discard(store: Store, key: String, upload_id: String) {
    let request = store.client.abort_multipart_upload();
    let sent = request.bucket(&store.bucket).key(&key).upload_id(upload_id).send().await;
    if let Err(error) = sent {
        tracing::warn!(key, %error, "cannot abort an upload; the store's lifecycle rule must remove its parts");
    }
}
