//! URLs that let a client without credentials write one object of one size, for a while.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::DisplayErrorContext;
use aws_sdk_s3::presigning::PresigningConfig;

use super::{Checksums, S3Config, StoreError, client};

/// Signer for one bucket, at the endpoint that clients reach. It sends nothing.
#[derive(Debug, Clone)]
pub struct Presigner {
    client: Client,
    bucket: String,
}

/// A PUT request that anybody may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresignedPut {
    pub url: String,
    /// Headers to send unchanged; the signature covers them.
    pub headers: BTreeMap<String, String>,
}

impl Presigner {
    /// Makes a signer; `endpoint` is the one at which clients reach the store.
    pub fn new(config: &S3Config, endpoint: &str) -> Self {
        // A checksum that the client library adds would be of an empty body.
        let config =
            S3Config { s3_endpoint: endpoint.to_owned(), s3_checksums: Checksums::WhenRequired, ..config.clone() };
        Self { client: client(&config, None), bucket: config.s3_bucket }
    }

    /// Signs a PUT. The size is signed, too: the store refuses a body of another size.
    pub async fn put(
        &self,
        key: &str,
        size_bytes: u64,
        content_type: &str,
        expires_in: Duration,
    ) -> Result<PresignedPut, StoreError> {
        let failed =
            |reason: String| StoreError::Request { action: "signing", key: key.to_owned(), reason: reason.into() };
        let presigning = PresigningConfig::expires_in(expires_in).map_err(|error| failed(error.to_string()))?;
        let size = i64::try_from(size_bytes).map_err(|error| failed(error.to_string()))?;
        let request = self.client.put_object().bucket(&self.bucket).key(key).content_type(content_type);
        let signed = request.content_length(size).presigned(presigning).await;
        let signed = signed.map_err(|error| failed(DisplayErrorContext(error).to_string()))?;
        // HTTP clients set the length themselves, and some refuse a given one.
        let headers = signed.headers().filter(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(PresignedPut { url: signed.uri().to_owned(), headers })
    }
}
