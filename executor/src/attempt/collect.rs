//! Requested artifacts, straight from the dead sandbox's workspace into the object store. Nothing here is fatal for
//! the run: what cannot be collected is recorded as an artifact error.

use std::os::fd::BorrowedFd;

use schemas::Timestamp;
use schemas::event::{ArtifactError, ArtifactErrorCode, EventKind};
use schemas::id::ArtifactId;
use schemas::message::{ArtifactRequest, CollectedArtifact};
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use super::{Attempt, Record};
use crate::content_type;
use crate::workspace::{ArtifactFile, open_artifact};

const BUFFER_BYTES: usize = 256 * 1024;
/// Longest object name taken from a file name, in bytes.
const NAME_BYTES: usize = 200;

pub(super) async fn artifacts(attempt: &Attempt<'_>, workspace: BorrowedFd<'_>, record: &mut Record) {
    for request in &attempt.job.artifacts {
        match artifact(attempt, workspace, request).await {
            Ok(artifact) => {
                let (artifact_id, path) = (artifact.id.clone(), artifact.path.clone());
                attempt.feed.event(EventKind::ArtifactCollected { artifact_id, path }).await;
                record.artifacts.push(artifact);
            }
            Err(error) => {
                tracing::info!(path = error.path, code = %error.code, "an artifact was not collected");
                attempt.feed.event(EventKind::ArtifactError { error: error.clone() }).await;
                record.artifact_errors.push(error);
            }
        }
    }
}

async fn artifact(
    attempt: &Attempt<'_>,
    workspace: BorrowedFd<'_>,
    request: &ArtifactRequest,
) -> Result<CollectedArtifact, ArtifactError> {
    let failed = |code, message: String| ArtifactError { code, message, path: request.path.clone() };
    let found = open_artifact(workspace, &request.path).map_err(|error| failed(error.code(), error.to_string()))?;
    let id = ArtifactId::new();
    let base_name = found.path.rsplit('/').next().unwrap_or_default();
    let name = object_name(request.name.as_deref().unwrap_or(base_name));
    let job = attempt.job;
    let object_key = format!(
        "runs/org={}/project={}/date={}/run={}/artifacts/{id}/{name}",
        job.org_id, job.project_id, job.date, job.run_id
    );
    let content_type = content_type::of_path(&name);
    let (size_bytes, sha256) = upload(attempt, found, &object_key, content_type)
        .await
        .map_err(|message| failed(ArtifactErrorCode::ArtifactCollectFailed, message))?;
    Ok(CollectedArtifact {
        id,
        path: request.path.clone(),
        name,
        size_bytes,
        sha256,
        content_type: content_type.to_owned(),
        object_key,
        created_at: Timestamp::now(),
    })
}

/// Streams the file; returns its size and SHA-256. Everything in the sandbox is dead, so it does not change.
async fn upload(
    attempt: &Attempt<'_>,
    found: ArtifactFile,
    key: &str,
    content_type: &str,
) -> Result<(u64, String), String> {
    // A sparse or huge file is read no further than what it was when it was opened.
    let mut file = tokio::fs::File::from_std(found.file).take(found.size_bytes);
    let mut object = attempt.parts.store.begin(key, content_type);
    let (mut digest, mut size) = (Sha256::new(), 0);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let step = match file.read(&mut buffer).await {
            Ok(0) => break,
            Ok(read) => {
                digest.update(&buffer[..read]);
                size += read as u64;
                object.write(&buffer[..read]).await.map_err(|error| error.to_string())
            }
            Err(error) => Err(format!("reading the file: {error}")),
        };
        if let Err(message) = step {
            object.abort().await;
            return Err(message);
        }
    }
    object.finish().await.map_err(|error| error.to_string())?;
    Ok((size, hex::encode(digest.finalize())))
}

/// The last part of an object key: one path component of printable characters that every client can handle.
fn object_name(name: &str) -> String {
    let mut clean = String::with_capacity(name.len());
    for character in name.chars() {
        let replace = character.is_control() || matches!(character, '/' | '\\' | '\u{fffd}');
        let next = if replace { '_' } else { character };
        if clean.len() + next.len_utf8() > NAME_BYTES {
            break;
        }
        clean.push(next);
    }
    if clean.chars().all(|character| character == '.') { "artifact".to_owned() } else { clean }
}

#[cfg(test)]
mod tests {
    use super::object_name;

    #[test]
    fn names_are_one_plain_component() {
        for (name, expected) in [
            ("report.xml", "report.xml"),
            ("../../etc/passwd", ".._.._etc_passwd"),
            ("..", "artifact"),
            ("", "artifact"),
            ("a\nb\0c", "a_b_c"),
            ("ünï.txt", "ünï.txt"),
        ] {
            assert_eq!(object_name(name), expected, "{name:?}");
        }
        assert!(object_name(&"é".repeat(300)).len() <= 200);
    }
}
