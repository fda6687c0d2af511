//! The files of the run by their digests: its artifacts, and the archive that it was given.

use schemas::artifact::tombstone::Tombstone;
use schemas::evidence::{EvidenceArtifact, EvidenceBundle};

use super::Subject;
use super::bundle::Bundle;
use super::deletion::Deletion;
use super::pool;
use super::report::{Check, Report};
use crate::source::{self, Source, artifact_file};

pub(super) fn check(bundle: &Bundle, subject: &Subject<'_>, report: &mut Report) {
    let artifacts = &bundle.content.artifacts;
    if artifacts.is_empty() {
        report.push(Check::absent("artifact", "the run left no artifacts"));
    }
    let checks = pool::in_order(artifacts, |artifact| {
        let check = if subject.with_artifacts {
            judge(artifact, &bundle.content, subject)
        } else {
            Check::not_checked("artifact", "artifacts were left out")
        };
        check.of(&artifact.object_key)
    });
    for check in checks {
        report.push(check);
    }
}

fn judge(artifact: &EvidenceArtifact, bundle: &EvidenceBundle, subject: &Subject<'_>) -> Check {
    let Some(name) = artifact_file(artifact) else {
        return Check::failed("artifact", "its key does not end in the name of a file");
    };
    let found = match subject.files.open(&name) {
        Err(message) => return Check::failed("artifact", message),
        Ok(Some(file)) => file,
        Ok(None) => return missing(artifact, bundle, subject),
    };
    match source::digest(found) {
        Err(error) => Check::failed("artifact", format!("cannot read {name}: {error}")),
        Ok((size, sha256)) => compare("artifact", (size, &sha256), (artifact.size_bytes, &artifact.sha256)),
    }
}

fn missing(artifact: &EvidenceArtifact, bundle: &EvidenceBundle, subject: &Subject<'_>) -> Check {
    let deletion = match Deletion::of(artifact, subject.files) {
        Err(message) => return Check::failed("artifact", message),
        Ok(None) => return Check::failed("artifact", "it is missing"),
        Ok(Some(deletion)) => deletion,
    };
    let (sha256, deleted_at) = match &deletion {
        Deletion::Tombstone(tombstone) => (&tombstone.sha256, tombstone.deleted_at),
        Deletion::Told(told) => (&told.sha256, told.deleted_at),
    };
    if *sha256 != artifact.sha256 {
        let message = format!("its tombstone has SHA-256 {sha256}, and {} was sealed", artifact.sha256);
        return Check::failed("artifact", message);
    }
    let Deletion::Tombstone(tombstone) = &deletion else {
        return Check::absent("artifact", format!("said to be deleted at {deleted_at}; its digest is on record"));
    };
    if let Some((member, found, sealed)) = difference(tombstone, artifact, bundle) {
        return Check::failed("artifact", format!("its tombstone has {member} `{found}`, and `{sealed}` was sealed"));
    }
    let reason = tombstone.reason;
    Check::absent(
        "artifact",
        format!("its tombstone says that it was deleted at {deleted_at} ({reason}), as it was sealed"),
    )
}

/// The first member that is not as it was sealed.
fn difference(
    tombstone: &Tombstone,
    artifact: &EvidenceArtifact,
    bundle: &EvidenceBundle,
) -> Option<(&'static str, String, String)> {
    let sizes = (tombstone.size_bytes.to_string(), artifact.size_bytes.to_string());
    let members = [
        ("artifactId", tombstone.artifact_id.as_str(), artifact.id.as_str()),
        ("workspaceRunId", tombstone.workspace_run_id.as_str(), bundle.workspace_run_id.as_str()),
        ("orgId", tombstone.org_id.as_str(), bundle.org_id.as_str()),
        ("projectId", tombstone.project_id.as_str(), bundle.project_id.as_str()),
        ("path", &tombstone.path, &artifact.path),
        ("name", &tombstone.name, &artifact.name),
        ("objectKey", &tombstone.object_key, &artifact.object_key),
        ("sizeBytes", &sizes.0, &sizes.1),
    ];
    let (member, found, sealed) = members.into_iter().find(|(_, found, sealed)| found != sealed)?;
    Some((member, found.to_owned(), sealed.to_owned()))
}

/// Compares an archive that somebody kept: the evidence has only its digest.
pub(super) fn archive(bundle: &Bundle, files: &dyn Source, report: &mut Report) {
    report.push(match (&bundle.content.archive, files.archive()) {
        (None, Ok(None)) => Check::absent("archive", "the run never got an archive"),
        (None, _) => Check::failed("archive", "the run never got an archive, and one was given to compare"),
        (Some(archive), Ok(None)) => {
            Check::absent("archive", format!("not compared: give it with --archive; its SHA-256 is {}", archive.sha256))
        }
        (Some(_), Err(message)) => Check::not_checked("archive", message),
        (Some(archive), Ok(Some(given))) => match source::digest(given) {
            Err(error) => Check::not_checked("archive", format!("cannot read the archive: {error}")),
            Ok((size, sha256)) => compare("archive", (size, &sha256), (archive.size_bytes, &archive.sha256)),
        },
    });
}

fn compare(check: &'static str, found: (u64, &str), sealed: (u64, &str)) -> Check {
    if found.0 != sealed.0 {
        return Check::failed(check, format!("{} bytes, and {} were sealed", found.0, sealed.0));
    }
    if found.1 != sealed.1 {
        return Check::failed(
            check,
            format!("its SHA-256 is {}, and {} was sealed: it was changed", found.1, sealed.1),
        );
    }
    Check::verified(check, format!("{} bytes with the digest that was sealed", found.0))
}
