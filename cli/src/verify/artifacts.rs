//! The files of the run by their digests: what it left, and the archive that it was given.

use std::fs::File;
use std::path::Path;

use schemas::evidence::EvidenceArtifact;

use super::Subject;
use super::bundle::Bundle;
use super::folder::{self, artifact_file};
use super::report::{Check, Report};

pub(super) fn check(bundle: &Bundle, subject: &Subject<'_>, report: &mut Report) {
    let artifacts = &bundle.content.artifacts;
    if artifacts.is_empty() {
        report.push(Check::absent("artifact", "the run left no artifacts"));
    }
    for artifact in artifacts {
        let check = if subject.with_artifacts {
            judge(artifact, subject)
        } else {
            Check::not_checked("artifact", "artifacts were left out")
        };
        report.push(check.of(&artifact.object_key));
    }
}

fn judge(artifact: &EvidenceArtifact, subject: &Subject<'_>) -> Check {
    let Some(name) = artifact_file(artifact) else {
        return Check::failed("artifact", "its key does not end in the name of a file");
    };
    let found = match subject.folder.open(&name) {
        Err(message) => return Check::failed("artifact", message),
        Ok(Some(file)) => file,
        Ok(None) => return missing(artifact, subject),
    };
    match folder::digest(found) {
        Err(error) => Check::failed("artifact", format!("cannot read {}: {error}", name.display())),
        Ok((size, sha256)) => compare("artifact", (size, &sha256), (artifact.size_bytes, &artifact.sha256)),
    }
}

fn missing(artifact: &EvidenceArtifact, subject: &Subject<'_>) -> Check {
    match subject.folder.deletion(artifact) {
        Err(message) => Check::failed("artifact", message),
        Ok(None) => Check::failed("artifact", "it is missing"),
        Ok(Some(deletion)) if deletion.sha256 != artifact.sha256 => {
            let message = format!("its tombstone has SHA-256 {}, and {} was sealed", deletion.sha256, artifact.sha256);
            Check::failed("artifact", message)
        }
        Ok(Some(deletion)) => {
            Check::absent("artifact", format!("said to be deleted at {}; its digest is on record", deletion.deleted_at))
        }
    }
}

/// The archive is not kept with the evidence: whoever has it can compare it.
pub(super) fn archive(bundle: &Bundle, path: Option<&Path>, report: &mut Report) {
    report.push(match (&bundle.content.archive, path) {
        (None, None) => Check::absent("archive", "the run never got an archive"),
        (None, Some(_)) => Check::failed("archive", "the run never got an archive, and one was given to compare"),
        (Some(archive), None) => {
            Check::absent("archive", format!("not compared: give it with --archive; its SHA-256 is {}", archive.sha256))
        }
        (Some(archive), Some(path)) => match File::open(path).and_then(folder::digest) {
            Err(error) => Check::not_checked("archive", format!("cannot read {}: {error}", path.display())),
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
