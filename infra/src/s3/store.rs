//! Whole objects: conditional puts, ranged gets. Streams of unknown length are in `multipart`.

use std::ops::RangeInclusive;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;

use super::lock::ObjectLock;
use super::reserve::Reserve;

/// Outcome of a conditional put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    Created,
    /// Another object exists and is unchanged.
    Exists,
}

/// The text of an error is for everybody, and may be sealed into evidence: what the store or its library said is the source,
/// which is for logs.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("object `{0}` does not exist")]
    NotFound(String),
    /// Only the space that is kept back is left.
    #[error("the store's disk has {free} bytes left, and {reserve} bytes of it are kept back for what is sealed")]
    Full { free: u64, reserve: u64 },
    #[error("the object store failed: {action} of `{key}`")]
    Request {
        action: &'static str,
        key: String,
        #[source]
        reason: Answer,
    },
}

/// The answer of a store, or the lack of one, in the words of others.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Answer(String);

impl From<String> for Answer {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl StoreError {
    pub(super) fn from_sdk<E, R>(action: &'static str, key: &str, error: SdkError<E, R>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
        R: std::fmt::Debug,
    {
        if matches!(error.code(), Some("NoSuchKey" | "NoSuchVersion" | "NotFound")) {
            return Self::NotFound(key.to_owned());
        }
        let answer = DisplayErrorContext(error).to_string();
        tracing::warn!(action, key, answer, "the object store failed");
        Self::Request { action, key: key.to_owned(), reason: answer.into() }
    }
}

/// An object as it was when it was read, and the store's name for this version.
#[derive(Debug, Clone)]
pub struct Version {
    pub body: Bytes,
    pub etag: String,
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub key: String,
    /// Size in bytes.
    pub size: u64,
    /// The store's name for this version.
    pub etag: String,
}

/// One bucket. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) client: Client,
    pub(super) bucket: String,
    pub(super) lock: Option<ObjectLock>,
    pub(super) reserve: Option<Reserve>,
}

impl Store {
    pub(super) fn new(client: Client, bucket: String, reserve: Option<Reserve>) -> Self {
        Self { client, bucket, lock: None, reserve }
    }

    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// A handle to another bucket of the same store.
    #[must_use]
    pub fn in_bucket(&self, bucket: &str) -> Self {
        Self { bucket: bucket.to_owned(), ..self.clone() }
    }

    /// Creates the bucket if it is missing, for locked objects if this handle locks.
    pub async fn ensure_bucket(&self) -> Result<(), StoreError> {
        if self.client.head_bucket().bucket(&self.bucket).send().await.is_ok() {
            return Ok(());
        }
        let lockable = self.lock.map(|_| true);
        let create = self.client.create_bucket().bucket(&self.bucket).set_object_lock_enabled_for_bucket(lockable);
        match create.send().await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.code(), Some("BucketAlreadyOwnedByYou" | "BucketAlreadyExists")) => Ok(()),
            Err(error) => Err(StoreError::from_sdk("creating the bucket", &self.bucket, error)),
        }
    }

    /// Writes an object that must not exist yet (`If-None-Match: *`).
    pub async fn put_new(&self, key: &str, body: Bytes, content_type: &str) -> Result<Put, StoreError> {
        self.put_expecting(None, key, body, content_type).await
    }

    /// Replaces an object only if it still has this version (`If-Match`).
    pub async fn replace(
        &self,
        version: &Version,
        key: &str,
        body: Bytes,
        content_type: &str,
    ) -> Result<Put, StoreError> {
        self.put_expecting(Some(&version.etag), key, body, content_type).await
    }

    async fn put_expecting(
        &self,
        etag: Option<&str>,
        key: &str,
        body: Bytes,
        content_type: &str,
    ) -> Result<Put, StoreError> {
        let put = self.client.put_object().bucket(&self.bucket).key(key);
        let put = match (etag, self.lock) {
            (Some(etag), _) => put.if_match(etag),
            (None, None) => put.if_none_match("*"),
            (None, Some(lock)) => lock.apply(put.if_none_match("*")),
        };
        match put.content_type(content_type).body(ByteStream::from(body)).send().await {
            Ok(_) => Ok(Put::Created),
            Err(error) if error.raw_response().is_some_and(|raw| raw.status().as_u16() == 412) => Ok(Put::Exists),
            Err(error) => Err(StoreError::from_sdk("writing", key, error)),
        }
    }

    /// The first `max_bytes` of the object with its version; `None` if it does not exist.
    pub async fn get_version(&self, key: &str, max_bytes: u64) -> Result<Option<Version>, StoreError> {
        let request = self.client.get_object().bucket(&self.bucket).key(key);
        let answer = request.range(format!("bytes=0-{}", max_bytes.saturating_sub(1))).send().await;
        let answer = match answer.map_err(|error| StoreError::from_sdk("reading", key, error)) {
            Err(StoreError::NotFound(_)) => return Ok(None),
            answer => answer?,
        };
        let etag = answer.e_tag().unwrap_or_default().to_owned();
        Ok(Some(Version { body: Self::collect(key, answer.body).await?, etag }))
    }

    /// The whole object, in memory: for objects whose size is known to be small.
    pub async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        let stream = self.get_stream(key, None).await?;
        Self::collect(key, stream).await
    }

    /// The bytes from the first to the last of `range`.
    pub async fn get_range(&self, key: &str, range: RangeInclusive<u64>) -> Result<Bytes, StoreError> {
        let stream = self.get_stream(key, Some(format!("bytes={}-{}", range.start(), range.end()))).await?;
        Self::collect(key, stream).await
    }

    /// The object as a stream; `range` is the value of an HTTP Range header.
    pub async fn get_stream(&self, key: &str, range: Option<String>) -> Result<ByteStream, StoreError> {
        let answer = self.client.get_object().bucket(&self.bucket).key(key).set_range(range).send().await;
        Ok(answer.map_err(|error| StoreError::from_sdk("reading", key, error))?.body)
    }

    /// The size of the object in bytes; `None` if it does not exist.
    pub async fn size(&self, key: &str) -> Result<Option<u64>, StoreError> {
        match self.client.head_object().bucket(&self.bucket).key(key).send().await {
            Ok(head) => Ok(Some(head.content_length().and_then(|n| u64::try_from(n).ok()).unwrap_or(0))),
            Err(error) if error.raw_response().is_some_and(|raw| raw.status().as_u16() == 404) => Ok(None),
            Err(error) => Err(StoreError::from_sdk("looking up", key, error)),
        }
    }

    /// All objects whose keys begin with `prefix`, in the order of their keys.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        let mut listed = Vec::new();
        let mut pages = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| StoreError::from_sdk("listing", prefix, error))?;
            listed.extend(page.contents.into_iter().flatten().filter_map(|object| {
                Some(Listed {
                    key: object.key?,
                    size: object.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
                    etag: object.e_tag.unwrap_or_default(),
                })
            }));
        }
        Ok(listed)
    }

    /// Deletes the object; deleting a missing one is not an error.
    pub async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let sent = self.client.delete_object().bucket(&self.bucket).key(key).send().await;
        sent.map(drop).map_err(|error| StoreError::from_sdk("deleting", key, error))
    }

    async fn collect(key: &str, stream: ByteStream) -> Result<Bytes, StoreError> {
        let collected = stream.collect().await.map_err(|error| StoreError::Request {
            action: "reading",
            key: key.to_owned(),
            reason: error.to_string().into(),
        })?;
        Ok(collected.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[test]
    fn an_error_has_no_words_of_the_store() {
        let reason = "service error: <Error><Server>Store 4.48</Server></Error>".to_owned().into();
        let error = StoreError::Request { action: "writing", key: "runs/a".to_owned(), reason };
        assert_eq!(error.to_string(), "the object store failed: writing of `runs/a`");
        assert!(error.source().unwrap().to_string().contains("4.48"), "it is for the log");
    }
}
