//! The bytes of one artifact on their way into the object store, hashed and counted as they pass.

use std::io::{self, Write};
use std::mem;

use bytes::{Bytes, BytesMut};
use infra::s3::{Multipart, StoreError};
use schemas::test_report::{self, ReportFormat};
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use super::report::{ReadReport, ReportReader};
use crate::abandoned::Caller;
use crate::workspace::{ArtifactFile, ArtifactFolder, Budget, LeftOut, WalkError, write_tar};

const BUFFER_BYTES: usize = 256 * 1024;
/// Buffers of a tar that wait to be sent, at most.
const QUEUE: usize = 4;
pub(super) const TAR: &str = "application/x-tar";

/// An artifact that is in the store.
#[derive(Debug)]
pub(super) struct Uploaded {
    pub size_bytes: u64,
    pub sha256: String,
}

#[derive(Debug)]
pub(super) enum UploadError {
    /// There are more bytes than the artifact may have.
    TooLarge,
    Store(StoreError),
    /// The content cannot be had.
    Content(String),
}

impl From<StoreError> for UploadError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Dropping it discards what was sent.
pub(super) struct Upload {
    object: Multipart,
    /// Bytes that the artifact may have.
    limit: u64,
    digest: Sha256,
    size_bytes: u64,
}

impl Upload {
    pub(super) fn new(object: Multipart, limit: u64) -> Self {
        Self { object, limit, digest: Sha256::new(), size_bytes: 0 }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), UploadError> {
        self.size_bytes += bytes.len() as u64;
        if self.size_bytes > self.limit {
            return Err(UploadError::TooLarge);
        }
        self.digest.update(bytes);
        Ok(self.object.write(bytes).await?)
    }

    async fn finish(self) -> Result<Uploaded, UploadError> {
        self.object.finish().await?;
        Ok(Uploaded { size_bytes: self.size_bytes, sha256: hex::encode(self.digest.finalize()) })
    }
}

/// Uploads a file, and reads it as a test report if it is one: from the very bytes that are stored.
pub(super) async fn file(
    mut upload: Upload,
    found: ArtifactFile,
    declared: Option<ReportFormat>,
) -> Result<(Uploaded, Option<ReadReport>), UploadError> {
    // A sparse or huge file is read no further than what it was when it was opened.
    let mut content = tokio::fs::File::from_std(found.file).take(found.size_bytes);
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut report = declared.map(ReportReader::start);
    loop {
        let read = content.read(&mut buffer).await;
        let bytes = match read.map_err(|error| UploadError::Content(format!("reading the file: {error}")))? {
            0 => break,
            read => &buffer[..read],
        };
        if upload.size_bytes == 0 && report.is_none() {
            report = test_report::detect(&found.path, bytes).map(ReportReader::start);
        }
        if let Some(report) = &mut report {
            report.write(bytes).await;
        }
        upload.write(bytes).await?;
    }
    let uploaded = upload.finish().await?;
    let report = match report {
        Some(report) => Some(report.finish().await),
        None => None,
    };
    Ok((uploaded, report))
}

/// Uploads a folder as a tar, which is written while it is sent. When this is dropped, the walk and the tar end, too.
pub(super) async fn folder(
    mut upload: Upload,
    folder: ArtifactFolder,
    budget: &mut Budget,
) -> Result<(Uploaded, LeftOut), UploadError> {
    let (sender, mut chunks) = mpsc::channel(QUEUE);
    let caller = Caller::default();
    let (limit, mut spent) = (upload.limit, mem::replace(budget, Budget::of(0)).until(caller.gone()));
    let writing = tokio::task::spawn_blocking(move || {
        let mut out = Chunks { sender, buffer: BytesMut::new() };
        let written = write_tar(&folder, limit, &mut spent, &mut out);
        let written = written.and_then(|left_out| out.flush().map(|()| left_out).map_err(WalkError::Write));
        (spent, written)
    });
    let mut sent = Ok(());
    while let Some(chunk) = chunks.recv().await {
        sent = upload.write(&chunk).await;
        if sent.is_err() {
            break;
        }
    }
    // Without a reader the writer comes to its end, too.
    drop(chunks);
    let (spent, written) = writing.await.map_err(|error| UploadError::Content(error.to_string()))?;
    *budget = spent;
    sent?;
    let left_out = written.map_err(|error| match error {
        WalkError::TooLarge { .. } => UploadError::TooLarge,
        error => UploadError::Content(error.to_string()),
    })?;
    Ok((upload.finish().await?, left_out))
}

/// Hands what is written to the async side.
struct Chunks {
    sender: mpsc::Sender<Bytes>,
    buffer: BytesMut,
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let chunk = self.buffer.split().freeze();
        self.sender.blocking_send(chunk).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
