//! Small archives made by tests, honest and otherwise.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// Bytes to upload, with their digest.
#[derive(Debug, Clone)]
pub struct Archive {
    pub bytes: Vec<u8>,
    pub sha256: String,
}

impl Archive {
    pub fn of(bytes: Vec<u8>) -> Self {
        let sha256 = hex::encode(Sha256::digest(&bytes));
        Self { bytes, sha256 }
    }
}

/// A `.tar.gz` with these files.
pub fn archive(files: &[(&str, impl AsRef<[u8]>)]) -> Archive {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, content) in files {
        let content = content.as_ref();
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        header.set_mtime(1_700_000_000);
        builder.append_data(&mut header, path, content).expect("in memory");
    }
    let mut encoder = builder.into_inner().expect("in memory");
    encoder.flush().expect("in memory");
    Archive::of(encoder.finish().expect("in memory"))
}
