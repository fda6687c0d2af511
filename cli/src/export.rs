//! Fetches everything that was sealed of a run into a folder, with the layout of the run's folder in the bucket. Objects that
//! are not there (any more) are left out: verification finds them missing.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use schemas::Timestamp;
use schemas::api::inclusion::InclusionAnswer;
use schemas::attestation::predicate::{RUN_EVIDENCE, SLSA_PROVENANCE, TEST_RESULT};
use schemas::canonical;
use schemas::evidence::{EvidenceArtifact, EvidenceBundle};
use schemas::id::RunId;
use serde::Serialize;
use serde_json::Value;
use verifier::evidence::Told;
use verifier::{artifact_file, names, part_file, tombstone_file};

use crate::client::{Client, Download};
use crate::failure::Failure;

const CONCURRENT_DOWNLOADS: usize = 4;
/// Longest wait for the log entry of a run that was sealed a moment ago.
const LOGGED_WITHIN: Duration = Duration::from_secs(15);
/// Longest time from the deletion of an artifact to its tombstone.
const TOMBSTONE_WITHIN: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(500);

pub(crate) async fn fetch(
    client: &Client,
    id: &RunId,
    evidence: &Value,
    folder: &Path,
    with_artifacts: bool,
) -> Result<(), Failure> {
    let invalid =
        |error: &dyn std::fmt::Display| Failure::invalid_answer(format!("expected an Evidence Bundle: {error}"));
    let sealed = canonical::to_vec(evidence).map_err(|error| invalid(&error))?;
    let bundle: EvidenceBundle = serde_json::from_value(evidence.clone()).map_err(|error| invalid(&error))?;
    write(folder, names::EVIDENCE, &sealed)?;
    write(folder, names::KEYS, &client.public_keys().await?)?;
    for attestation in client.attestations(id).await?.data {
        let name = match attestation.predicate_type.as_str() {
            RUN_EVIDENCE => names::ATTESTATION,
            SLSA_PROVENANCE => names::PROVENANCE,
            TEST_RESULT => names::TEST_RESULT,
            // One that this version does not know, and does not verify.
            _ => continue,
        };
        write_json(folder, name, &attestation.envelope)?;
    }
    if let Some(inclusion) = inclusion(client, id).await? {
        write_json(folder, names::INCLUSION, &inclusion)?;
    }
    let parts = bundle.event_log.parts.iter().enumerate().map(|(number, part)| async move {
        let name = part_file(&part.object_key).ok_or_else(|| unusable(&part.object_key))?;
        or_missing(save(Download::event_log_part(client, id, number).await, &folder.join(name)).await)
    });
    all(parts).await?;
    if with_artifacts {
        all(bundle.artifacts.iter().map(|artifact| save_artifact(client, artifact, folder))).await?;
    }
    Ok(())
}

async fn all(downloads: impl Iterator<Item = impl Future<Output = Result<(), Failure>>>) -> Result<(), Failure> {
    stream::iter(downloads).buffer_unordered(CONCURRENT_DOWNLOADS).try_collect().await
}

async fn inclusion(client: &Client, id: &RunId) -> Result<Option<InclusionAnswer>, Failure> {
    let begun = Instant::now();
    loop {
        match client.inclusion(id).await {
            Ok(inclusion) => return Ok(Some(InclusionAnswer { inclusion })),
            Err(failure) if failure.code != "not_found" => return Err(failure),
            Err(_) if begun.elapsed() > LOGGED_WITHIN => return Ok(None),
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}

async fn save_artifact(client: &Client, artifact: &EvidenceArtifact, folder: &Path) -> Result<(), Failure> {
    let path = folder.join(artifact_file(artifact).ok_or_else(|| unusable(&artifact.object_key))?);
    let own = path.parent().map(PathBuf::from).unwrap_or_default();
    fs::create_dir_all(&own).map_err(|error| Failure::file("create", &own, &error))?;
    match save(Download::artifact(client, &artifact.id).await, &path).await {
        Err(failure) if failure.code == "not_found" => {}
        saved => return saved,
    }
    let about = match client.artifact(&artifact.id).await {
        Err(failure) if failure.code == "not_found" => return Ok(()),
        about => about?,
    };
    // An artifact that is gone without having been deleted has no tombstone: it is missing.
    match (serde_json::from_value::<Told>(about), tombstone_file(artifact)) {
        (Ok(told), Some(name)) => save_tombstone(client, artifact, &told, folder, &name).await,
        _ => Ok(()),
    }
}

/// Saves the tombstone as the store has it. If the store has none yet, because a hold keeps the bytes for example, or the API
/// knows of none, the API's word for the deletion takes its place.
async fn save_tombstone(
    client: &Client,
    artifact: &EvidenceArtifact,
    told: &Told,
    folder: &Path,
    name: &str,
) -> Result<(), Failure> {
    let begun = Instant::now();
    loop {
        match save(Download::tombstone(client, &artifact.id).await, &folder.join(name)).await {
            Err(failure) if failure.code == "not_found" => {}
            saved => return saved,
        }
        // Clocks may differ.
        let age = Duration::from_millis(Timestamp::now().millis_since(told.deleted_at)).max(begun.elapsed());
        if age > TOMBSTONE_WITHIN {
            return write_json(folder, name, told);
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn save(download: Result<Download<'_>, Failure>, path: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::file("write", path, &error);
    let mut download = download?;
    let mut file = File::create_new(path).map_err(failed)?;
    while let Some(piece) = download.next().await? {
        file.write_all(&piece).map_err(failed)?;
    }
    Ok(())
}

fn or_missing(saved: Result<(), Failure>) -> Result<(), Failure> {
    match saved {
        Err(failure) if failure.code == "not_found" => Ok(()),
        saved => saved,
    }
}

fn unusable(object_key: &str) -> Failure {
    Failure::invalid_answer(format!("the evidence names an object `{object_key}`, which cannot be the name of a file"))
}

fn write_json(folder: &Path, name: &str, value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_vec(value)
        .map_err(|error| Failure::new("internal_error", format!("the export cannot be written: {error}")))?;
    write(folder, name, &text)
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Failure> {
    let path = folder.join(name);
    fs::write(&path, bytes).map_err(|error| Failure::file("write", &path, &error))
}
