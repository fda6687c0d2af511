//! The folder that `crownest evidence export` writes, which has the layout of a run's folder in the bucket. Names come from
//! a bundle that is not verified yet: only what is a plain name of ours is opened.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use schemas::Timestamp;
use schemas::evidence::EvidenceArtifact;
use schemas::tombstone::{DeletionReason, Tombstone};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Names within the folder.
pub(crate) mod names {
    pub(crate) use schemas::layout::{ATTESTATION, EVIDENCE, PROVENANCE, TEST_RESULT};

    /// What `GET …/evidence/inclusion` answered.
    pub(crate) const INCLUSION: &str = "inclusion.json";
    /// The public keys, as they were published.
    pub(crate) const KEYS: &str = "jwks.json";
    pub(crate) const ARTIFACTS: &str = "artifacts";
}

const BLOCK: usize = 256 * 1024;

/// What the API tells of the deletion in the artifact itself: a short tombstone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Told {
    pub sha256: String,
    pub deleted_at: Timestamp,
    #[serde(default, rename = "reason", alias = "deletionReason", skip_serializing_if = "Option::is_none")]
    pub reason: Option<DeletionReason>,
}

/// What is in the place of a deleted artifact.
#[derive(Debug)]
pub(super) enum Deletion {
    /// As in the store.
    Tombstone(Box<Tombstone>),
    Told(Told),
}

impl Deletion {
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let content: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let Some(version) = content.get("schemaVersion") else {
            return serde_json::from_value(content).map(Self::Told).map_err(|error| error.to_string());
        };
        if !version.as_str().is_some_and(|version| version.starts_with("1.")) {
            return Err(format!("its version is {version}, which this program does not know"));
        }
        serde_json::from_value(content).map(Self::Tombstone).map_err(|error| error.to_string())
    }
}

/// `None`: there is no such file.
pub(super) type Found<T> = Result<Option<T>, String>;

#[derive(Debug, Clone)]
pub(crate) struct Folder(pub PathBuf);

/// Name of the file of a part; `None` if the key does not end in one of ours.
pub(crate) fn part_file(object_key: &str) -> Option<&str> {
    let name = last_segment(object_key)?;
    (name.starts_with("events-") && name.ends_with(".ndjson.zst")).then_some(name)
}

/// Path of an artifact within the folder; `None` if the key does not end in a name that may be one.
pub(crate) fn artifact_file(artifact: &EvidenceArtifact) -> Option<PathBuf> {
    Some([names::ARTIFACTS, artifact.id.as_str(), last_segment(&artifact.object_key)?].iter().collect())
}

/// Path of what is in its place when it was deleted.
pub(crate) fn tombstone_file(artifact: &EvidenceArtifact) -> Option<PathBuf> {
    Tombstone::object_key(artifact_file(artifact)?.to_str()?).map(PathBuf::from)
}

fn last_segment(object_key: &str) -> Option<&str> {
    let name = object_key.rsplit('/').next()?;
    let plain = !name.is_empty() && !matches!(name, "." | "..") && !name.contains(['\\', '\0']);
    plain.then_some(name)
}

impl Folder {
    /// A regular file, without waiting at a FIFO.
    pub(super) fn open(&self, name: &Path) -> Found<File> {
        let path = self.0.join(name);
        let failed = |error: io::Error| format!("cannot read {}: {error}", path.display());
        let file = match OpenOptions::new().read(true).custom_flags(libc_nonblock()).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        let is_file = file.metadata().map_err(failed)?.is_file();
        if is_file { Ok(Some(file)) } else { Err(format!("{} is no regular file", path.display())) }
    }

    /// A small file as a whole.
    pub(super) fn read(&self, name: impl AsRef<Path>, max_bytes: u64) -> Found<Vec<u8>> {
        let name = name.as_ref();
        let Some(file) = self.open(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        let read = file.take(max_bytes + 1).read_to_end(&mut bytes);
        read.map_err(|error| format!("cannot read {}: {error}", name.display()))?;
        if bytes.len() as u64 > max_bytes {
            return Err(format!("{}: expected at most {max_bytes} bytes", name.display()));
        }
        Ok(Some(bytes))
    }

    pub(super) fn deletion(&self, artifact: &EvidenceArtifact) -> Found<Deletion> {
        let Some(path) = tombstone_file(artifact) else { return Ok(None) };
        let Some(bytes) = self.read(&path, 64 * 1024)? else { return Ok(None) };
        Deletion::parse(&bytes)
            .map(Some)
            .map_err(|error| format!("{}: expected the tombstone of an artifact: {error}", path.display()))
    }
}

fn libc_nonblock() -> i32 {
    i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default()
}

/// Size and SHA-256 of a file, in constant memory.
pub(super) fn digest(mut file: File) -> io::Result<(u64, String)> {
    let (mut hasher, mut size, mut block) = (Sha256::new(), 0, vec![0; BLOCK]);
    loop {
        match file.read(&mut block)? {
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
        assert_eq!(artifact_file(&artifact).unwrap(), Path::new("artifacts/art_1/a b"));
        assert_eq!(tombstone_file(&artifact).unwrap(), Path::new("artifacts/art_1.tombstone.json"));
        for name in ["..", ".", "", "a\0b"] {
            artifact.object_key = format!("x/{name}");
            assert_eq!(artifact_file(&artifact), None, "{name:?}");
        }
    }

    #[test]
    fn a_fifo_is_not_waited_for() {
        let temporary = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("mkfifo").arg(temporary.path().join("fifo")).status().unwrap();
        assert!(made.success());
        let folder = Folder(temporary.path().to_owned());
        assert!(folder.open(Path::new("fifo")).unwrap_err().contains("no regular file"));
        assert!(folder.open(Path::new("nothing")).unwrap().is_none());
        std::fs::write(temporary.path().join("long"), "12345").unwrap();
        assert!(folder.read("long", 4).unwrap_err().contains("at most 4 bytes"));
        assert_eq!(folder.read("long", 5).unwrap().unwrap(), b"12345");
    }
}
