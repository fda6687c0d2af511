//! Streams into the store: small ones as one put, larger ones as a multipart upload in constant memory. Nothing is
//! visible before `finish`; `abort`, or the store's own lifecycle rule, discards a dropped upload.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};

use super::store::{Store, StoreError};

/// Length of every part but the last (S3 requires at least 5 MiB), and of the buffer in memory.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// An object being written, in order.
#[derive(Debug)]
pub struct Multipart {
    store: Store,
    key: String,
    content_type: String,
    buffer: BytesMut,
    upload_id: Option<String>,
    parts: Vec<CompletedPart>,
}

impl Store {
    /// Begins an object of unknown length. The finished object replaces an existing one.
    pub fn begin(&self, key: &str, content_type: &str) -> Multipart {
        Multipart {
            store: self.clone(),
            key: key.to_owned(),
            content_type: content_type.to_owned(),
            buffer: BytesMut::new(),
            upload_id: None,
            parts: Vec::new(),
        }
    }
}

impl Multipart {
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
        if self.upload_id.is_none() {
            return self.put_whole().await;
        }
        if !self.buffer.is_empty() {
            self.send_part().await?;
        }
        let parts = CompletedMultipartUpload::builder().set_parts(Some(std::mem::take(&mut self.parts))).build();
        let sent = self
            .store
            .client
            .complete_multipart_upload()
            .bucket(&self.store.bucket)
            .key(&self.key)
            .set_upload_id(self.upload_id.clone())
            .multipart_upload(parts)
            .send()
            .await;
        sent.map(drop).map_err(|error| StoreError::from_sdk("completing", &self.key, error))
    }

    /// Gives up; the store discards the parts that were sent.
    pub async fn abort(self) {
        let Some(upload_id) = self.upload_id else { return };
        let request = self.store.client.abort_multipart_upload();
        let sent = request.bucket(&self.store.bucket).key(&self.key).upload_id(upload_id).send().await;
        if let Err(error) = sent {
            tracing::warn!(key = self.key, %error, "cannot abort an upload; the store's lifecycle rule must remove its parts");
        }
    }

    async fn put_whole(self) -> Result<(), StoreError> {
        let request = self.store.client.put_object().bucket(&self.store.bucket).key(&self.key);
        let body = ByteStream::from(self.buffer.freeze());
        let sent = request.content_type(&self.content_type).body(body).send().await;
        sent.map(drop).map_err(|error| StoreError::from_sdk("writing", &self.key, error))
    }

    async fn send_part(&mut self) -> Result<(), StoreError> {
        let upload_id = match &self.upload_id {
            Some(id) => id.clone(),
            None => self.create().await?,
        };
        let number = i32::try_from(self.parts.len() + 1).unwrap_or(i32::MAX);
        let body: Bytes = self.buffer.split().freeze();
        let sent = self
            .store
            .client
            .upload_part()
            .bucket(&self.store.bucket)
            .key(&self.key)
            .upload_id(upload_id)
            .part_number(number)
            .body(ByteStream::from(body))
            .send()
            .await
            .map_err(|error| StoreError::from_sdk("writing a part", &self.key, error))?;
        self.parts.push(CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).build());
        Ok(())
    }

    async fn create(&mut self) -> Result<String, StoreError> {
        let request = self.store.client.create_multipart_upload().bucket(&self.store.bucket).key(&self.key);
        let created = request.content_type(&self.content_type).send().await;
        let created = created.map_err(|error| StoreError::from_sdk("beginning", &self.key, error))?;
        let upload_id = created.upload_id.ok_or_else(|| StoreError::Request {
            action: "beginning",
            key: self.key.clone(),
            reason: "the store named no upload id".to_owned().into(),
        })?;
        self.upload_id = Some(upload_id.clone());
        Ok(upload_id)
    }
}
