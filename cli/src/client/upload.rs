//! The archive on its way to the server: small ones directly, others by a staged transfer, perhaps to an object store.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use indicatif::ProgressBar;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, Method, RequestBuilder, Response};
use schemas::api::archive::{DeclaredArchive, FinalizeArchive, Transfer, TransferStatus};
use schemas::id::RunId;
use serde::Serialize;
use serde_json::Value;
use tokio_util::io::ReaderStream;

use super::answer;
use super::idempotency::IdempotencyKey;
use super::retry::retrying;
use super::runs::member;
use super::transport::{Call, Client, REQUEST_TIMEOUT};
use crate::archive_file::ArchiveFile;
use crate::failure::Failure;

/// Above this an archive takes the staged transfer: the contract's default for direct uploads.
const DIRECT_MAX_BYTES: u64 = 8 << 20;
/// An upload slower than this many bytes per second is given up.
const SLOWEST_BYTES_PER_SECOND: u64 = 16 << 10;
const PIECE_BYTES: usize = 64 << 10;

impl Client {
    /// Returns `{archive, workspaceRun}`.
    pub(crate) async fn upload_archive(
        &self,
        run: &RunId,
        archive: &ArchiveFile,
        key: &IdempotencyKey,
        bar: &ProgressBar,
    ) -> Result<Value, Failure> {
        if archive.size_bytes <= DIRECT_MAX_BYTES {
            match self.put_archive(run, archive, &key.step("archive"), bar).await {
                // This server's limit for direct uploads is lower.
                Err(failure) if failure.code == "file_too_large" => {}
                result => return result,
            }
        }
        let transfer = self.create_transfer(run, archive, &key.step("transfer")).await?;
        if archive.size_bytes > transfer.max_size_bytes {
            let (size, max) = (archive.size_bytes, transfer.max_size_bytes);
            return Err(Failure::new(
                "file_too_large",
                format!("the archive has {size} bytes, the limit is {max} bytes"),
            )
            .hint("Make the archive smaller: leave out what the command does not need."));
        }
        if matches!(transfer.status, TransferStatus::Pending | TransferStatus::Expired) {
            self.put_transfer(&transfer, archive, bar).await?;
        }
        let body =
            FinalizeArchive { sha256: archive.sha256.clone(), size_bytes: archive.size_bytes, upload_id: transfer.id };
        let key = key.step("finalize");
        let call = Call::post(format!("v1/workspace-runs/{run}/archive/finalize"), &key);
        self.call(Call { body: Some(to_value(&body)?), ..call }).await
    }

    async fn put_archive(
        &self,
        run: &RunId,
        archive: &ArchiveFile,
        key: &IdempotencyKey,
        bar: &ProgressBar,
    ) -> Result<Value, Failure> {
        retrying(|| async {
            let url = self.url(&format!("v1/workspace-runs/{run}/archive"))?;
            let request = self
                .request(Method::PUT, url, Some(key))
                .header(CONTENT_TYPE, "application/gzip")
                .header("x-crownest-archive-sha256", &archive.sha256)
                .header("x-crownest-archive-size", archive.size_bytes);
            answer::json(send(request, archive, bar).await?).await
        })
        .await
    }

    async fn create_transfer(
        &self,
        run: &RunId,
        archive: &ArchiveFile,
        key: &IdempotencyKey,
    ) -> Result<Transfer, Failure> {
        let body = DeclaredArchive { sha256: archive.sha256.clone(), size_bytes: archive.size_bytes };
        let call = Call::post(format!("v1/workspace-runs/{run}/archive-transfer"), key);
        let answer = self.call(Call { body: Some(to_value(&body)?), ..call }).await?;
        serde_json::from_value(member(answer, "transfer")?)
            .map_err(|error| Failure::invalid_answer(format!("expected a transfer: {error}")))
    }

    async fn put_transfer(&self, transfer: &Transfer, archive: &ArchiveFile, bar: &ProgressBar) -> Result<(), Failure> {
        retrying(|| async {
            let mut request = self.request(Method::PUT, self.url(&transfer.upload_url)?, None);
            for (name, value) in &transfer.headers {
                request = request.header(name, value);
            }
            answer::successful(send(request, archive, bar).await?).await.map(drop)
        })
        .await
    }
}

/// Streams the archive from disk, from its start.
async fn send(request: RequestBuilder, archive: &ArchiveFile, bar: &ProgressBar) -> Result<Response, Failure> {
    bar.set_position(0);
    let bar = bar.clone();
    let pieces = ReaderStream::with_capacity(archive.reader().await?, PIECE_BYTES)
        .inspect_ok(move |piece| bar.inc(piece.len() as u64));
    let timeout = REQUEST_TIMEOUT + Duration::from_secs(archive.size_bytes / SLOWEST_BYTES_PER_SECOND);
    request
        // Set by hand: a stream has no length of its own, and object stores refuse chunked uploads.
        .header(CONTENT_LENGTH, archive.size_bytes)
        .body(Body::wrap_stream(pieces))
        .timeout(timeout)
        .send()
        .await
        .map_err(answer::network)
}

fn to_value(body: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(body)
        .map_err(|error| Failure::new("internal_error", format!("the request cannot be written: {error}")))
}
