//! The source of a run's files, and their names there: the layout of a run's folder in the bucket. Names come from a bundle
//! that is not verified yet, so the source is asked for plain names of ours only.

use std::io::{self, Read, Seek};

use schemas::artifact::tombstone::Tombstone;
use schemas::evidence::EvidenceArtifact;
use sha2::{Digest as _, Sha256};

/// Names within the folder.
pub mod names {
    pub use schemas::layout::{ATTESTATION, EVIDENCE, PROVENANCE, TEST_RESULT};

    /// The answer of `GET …/evidence/inclusion`.
    pub const INCLUSION: &str = "inclusion.json";
    /// The public keys, as they were published.
    pub const KEYS: &str = "jwks.json";
    pub const ARTIFACTS: &str = "artifacts";
}

const BLOCK: usize = 256 * 1024;

/// The content of a file.
pub type Content = Box<dyn ReadSeek>;

/// Bytes that can be read again from the start.
pub trait ReadSeek: Read + Seek {}

impl<T: Read + Seek> ReadSeek for T {}

/// `None`: there is no such file. An error says why the file cannot be read.
pub type Found<T> = Result<Option<T>, String>;

/// The files of one run. Several threads ask at once.
pub trait Source: Sync {
    /// Opens the file of this name within the run's folder, such as `artifacts/art_1/report.xml`.
    fn open(&self, name: &str) -> Found<Content>;

    /// Opens the archive that the run was given; `None` if it is not at hand.
    fn archive(&self) -> Found<Content>;
}

/// Name of the file of a part; `None` if the key does not end in one of ours.
pub fn part_file(object_key: &str) -> Option<&str> {
    let name = last_segment(object_key)?;
    (name.starts_with("events-") && name.ends_with(".ndjson.zst")).then_some(name)
}

/// Name of the file of an artifact; `None` if the key does not end in a plain name.
pub fn artifact_file(artifact: &EvidenceArtifact) -> Option<String> {
    let name = last_segment(&artifact.object_key)?;
    Some(format!("{}/{}/{name}", names::ARTIFACTS, artifact.id))
}

/// Name of the tombstone that takes the place of a deleted artifact.
pub fn tombstone_file(artifact: &EvidenceArtifact) -> Option<String> {
    Tombstone::object_key(&artifact_file(artifact)?)
}

fn last_segment(object_key: &str) -> Option<&str> {
    let name = object_key.rsplit('/').next()?;
    let plain = !name.is_empty() && !matches!(name, "." | "..") && !name.contains(['\\', '\0']);
    plain.then_some(name)
}

/// Reads a small file as a whole.
pub(crate) fn read(source: &dyn Source, name: &str, max_bytes: u64) -> Found<Vec<u8>> {
    let Some(content) = source.open(name)? else { return Ok(None) };
    let mut bytes = Vec::new();
    let read = content.take(max_bytes + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("cannot read {name}: {error}"))?;
    if bytes.len() as u64 > max_bytes {
        return Err(format!("{name}: expected at most {max_bytes} bytes"));
    }
    Ok(Some(bytes))
}

/// Size and SHA-256 of a file, in constant memory.
pub(crate) fn digest(mut content: Content) -> io::Result<(u64, String)> {
    let (mut hasher, mut size, mut block) = (Sha256::new(), 0, vec![0; BLOCK]);
    loop {
        match content.read(&mut block)? {
            0 => return Ok((size, hex::encode(hasher.finalize()))),
            length => {
                hasher.update(&block[..length]);
                size += length as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_files() {
        assert_eq!(part_file("runs/x/events-00000.ndjson.zst"), Some("events-00000.ndjson.zst"));
        for key in
            ["runs/x/..", "runs/x/", "", "runs/x/evidence.json", "events-\\..\\x.ndjson.zst", "events-\0.ndjson.zst"]
        {
            assert_eq!(part_file(key), None, "{key:?}");
        }
        let mut artifact: EvidenceArtifact = serde_json::from_value(serde_json::json!({
            "id": "art_1", "path": "a", "name": "a", "sizeBytes": 1, "sha256": "", "contentType": "", "objectKey": "x/a b",
        }))
        .unwrap();
        assert_eq!(artifact_file(&artifact).unwrap(), "artifacts/art_1/a b");
        assert_eq!(tombstone_file(&artifact).unwrap(), "artifacts/art_1.tombstone.json");
        for name in ["..", ".", "", "a\0b"] {
            artifact.object_key = format!("x/{name}");
            assert_eq!(artifact_file(&artifact), None, "{name:?}");
        }
    }

    #[test]
    fn a_longer_file_than_expected_is_refused() {
        struct Long;
        impl Source for Long {
            fn open(&self, name: &str) -> Found<Content> {
                Ok((name == "long").then(|| Box::new(io::Cursor::new(b"12345")) as Content))
            }
            fn archive(&self) -> Found<Content> {
                Ok(None)
            }
        }
        assert!(read(&Long, "long", 4).unwrap_err().contains("at most 4 bytes"));
        assert_eq!(read(&Long, "long", 5).unwrap().unwrap(), b"12345");
        assert!(read(&Long, "nothing", 5).unwrap().is_none());
    }
}
