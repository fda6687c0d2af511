//! The archive on this machine: hashed while it is read once, then streamed as often as an upload needs.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, Take};

use crate::failure::Failure;

const READ_BYTES: usize = 1 << 18;

#[derive(Debug)]
pub(crate) struct ArchiveFile {
    path: PathBuf,
    file: File,
    /// Lower-case hexadecimal.
    pub sha256: String,
    pub size_bytes: u64,
}

impl ArchiveFile {
    /// Reads the whole file; it must not change until the upload has ended, which the server checks by the digest.
    pub(crate) async fn open(path: &Path) -> Result<Self, Failure> {
        let failed = |error: &std::io::Error| Failure::file("read", path, error);
        // Asked before opening, because opening a FIFO would wait for a writer.
        let metadata = tokio::fs::metadata(path).await.map_err(|error| failed(&error))?;
        if !metadata.is_file() {
            return Err(Failure::new("file_error", format!("{} is not a regular file", path.display()))
                .hint("Pack a folder first: tar -czf repo.tgz -C FOLDER ."));
        }
        let mut file = File::open(path).await.map_err(|error| failed(&error))?;
        let mut digest = Sha256::new();
        let mut buffer = vec![0; READ_BYTES];
        let mut size_bytes = 0;
        loop {
            let read = file.read(&mut buffer).await.map_err(|error| failed(&error))?;
            if read == 0 {
                break;
            }
            digest.update(&buffer[..read]);
            size_bytes += read as u64;
        }
        Ok(Self { path: path.to_owned(), file, sha256: hex::encode(digest.finalize()), size_bytes })
    }

    /// The file again from its start, even if its name points to another file by now. One reader at a time.
    pub(crate) async fn reader(&self) -> Result<Take<File>, Failure> {
        let failed = |error: &std::io::Error| Failure::file("read", &self.path, error);
        let mut file = self.file.try_clone().await.map_err(|error| failed(&error))?;
        file.rewind().await.map_err(|error| failed(&error))?;
        // Bytes that were appended since were not hashed.
        Ok(file.take(self.size_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hashes_and_reads_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tgz");
        std::fs::write(&path, "abc").unwrap();
        let archive = ArchiveFile::open(&path).await.unwrap();
        assert_eq!(archive.size_bytes, 3);
        assert_eq!(archive.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .map(|mut file| {
                use std::io::Write as _;
                file.write_all(b"later").unwrap();
            })
            .unwrap();
        for _ in 0..2 {
            let mut text = String::new();
            archive.reader().await.unwrap().read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "abc");
        }
        assert!(ArchiveFile::open(folder.path()).await.is_err());
    }
}
