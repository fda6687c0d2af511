//! The bytes of one artifact on their way into the object store, hashed and counted as they pass.

use std::io::{self, Write};
use std::mem;

use bytes::{Bytes, BytesMut};
use infra::s3::{Multipart, Store};
use schemas::test_report::{self, ReportFormat};
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use super::report::{ReadReport, ReportReader};
use crate::workspace::{ArtifactFile, ArtifactFolder, Budget, LeftOut, write_tar};

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

struct Upload {
    object: Multipart,
    digest: Sha256,
    size_bytes: u64,
}

impl Upload {
    fn begin(store: &Store, key: &str, content_type: &str) -> Self {
        Self { object: store.begin(key, content_type), digest: Sha256::new(), size_bytes: 0 }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.digest.update(bytes);
        self.size_bytes += bytes.len() as u64;
        self.object.write(bytes).await.map_err(|error| error.to_string())
    }

    /// Completes the object if everything went well, and discards it otherwise.
    async fn end<T>(self, outcome: Result<T, String>) -> Result<(Uploaded, T), String> {
        match outcome {
            Ok(value) => {
                self.object.finish().await.map_err(|error| error.to_string())?;
                let sha256 = hex::encode(self.digest.finalize());
                Ok((Uploaded { size_bytes: self.size_bytes, sha256 }, value))
            }
            Err(message) => {
                self.object.abort().await;
                Err(message)
            }
        }
    }
}

/// Uploads a file, and reads it as a test report if it is one: from the very bytes that are stored.
pub(super) async fn file(
    store: &Store,
    key: &str,
    content_type: &str,
    found: ArtifactFile,
    declared: Option<ReportFormat>,
) -> Result<(Uploaded, Option<ReadReport>), String> {
    // A sparse or huge file is read no further than what it was when it was opened.
    let mut content = tokio::fs::File::from_std(found.file).take(found.size_bytes);
    let mut upload = Upload::begin(store, key, content_type);
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut report = declared.map(ReportReader::start);
    let outcome = loop {
        let bytes = match content.read(&mut buffer).await {
            Ok(0) => break Ok(()),
            Ok(read) => &buffer[..read],
            Err(error) => break Err(format!("reading the file: {error}")),
        };
        if upload.size_bytes == 0 && report.is_none() {
            report = test_report::detect(&found.path, bytes).map(ReportReader::start);
        }
        if let Some(report) = &mut report {
            report.write(bytes).await;
        }
        if let Err(message) = upload.write(bytes).await {
            break Err(message);
        }
    };
    let (uploaded, ()) = upload.end(outcome).await?;
    let report = match report {
        Some(report) => Some(report.finish().await),
        None => None,
    };
    Ok((uploaded, report))
}

/// Uploads a folder as a tar, which is written while it is sent.
pub(super) async fn folder(
    store: &Store,
    key: &str,
    folder: ArtifactFolder,
    budget: &mut Budget,
) -> Result<(Uploaded, LeftOut), String> {
    let (sender, mut chunks) = mpsc::channel(QUEUE);
    let mut spent = mem::replace(budget, Budget::of(0));
    let writing = tokio::task::spawn_blocking(move || {
        let mut out = Chunks { sender, buffer: BytesMut::new() };
        let written = write_tar(&folder, &mut spent, &mut out).map_err(|error| error.to_string());
        let written = written.and_then(|left_out| match out.flush() {
            Ok(()) => Ok(left_out),
            Err(error) => Err(error.to_string()),
        });
        (spent, written)
    });
    let mut upload = Upload::begin(store, key, TAR);
    let mut sent = Ok(());
    while let Some(chunk) = chunks.recv().await {
        sent = upload.write(&chunk).await;
        if sent.is_err() {
            break;
        }
    }
    // Without a reader the writer comes to its end, too.
    drop(chunks);
    let written = match writing.await {
        Ok((spent, written)) => {
            *budget = spent;
            written
        }
        Err(error) => Err(error.to_string()),
    };
    upload.end(sent.and(written)).await
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
