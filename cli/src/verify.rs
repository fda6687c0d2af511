//! Verifies what a run left, in a folder that may come from anywhere: every byte is suspected until a digest that leads to
//! a signature says otherwise. Nothing here goes to a network.

mod artifacts;
mod bundle;
mod events;
mod folder;
mod inclusion;
mod log;
mod pool;
mod report;
mod statements;

use std::path::Path;

use schemas::attestation::key::PublicKey;

use self::bundle::Bundle;
pub(crate) use self::folder::{Folder, Told, artifact_file, names, part_file, tombstone_file};
pub(crate) use self::report::{Report, Status};

/// Where the public keys come from, and which they are.
#[derive(Debug)]
pub(crate) struct Trust {
    pub keys: Vec<PublicKey>,
    /// For people: how far the keys can be trusted is not for us to say.
    pub source: String,
}

#[derive(Debug)]
pub(crate) struct Subject<'a> {
    /// The bundle in JSON, in any of its forms.
    pub evidence: &'a [u8],
    pub folder: Folder,
    /// `None`: nobody knows any.
    pub trust: Option<Trust>,
    /// The archive that the run was given, if it is at hand.
    pub archive: Option<&'a Path>,
    /// Whether the artifacts are here at all.
    pub with_artifacts: bool,
}

/// Checks everything that can be checked, and says what was not.
pub(crate) fn verify(subject: &Subject<'_>) -> Report {
    let mut report = Report::default();
    let bundle = match Bundle::read(subject.evidence) {
        Ok(bundle) => bundle,
        Err(check) => {
            report.push(check);
            return report;
        }
    };
    report.workspace_run_id = Some(bundle.content.workspace_run_id.clone());
    report.evidence_sha256 = Some(bundle.sha256.clone());
    report.push(bundle.check());
    let statement = statements::evidence(&bundle, subject, &mut report);
    log::check(&bundle, &subject.folder, &mut report);
    artifacts::check(&bundle, subject, &mut report);
    statements::provenance(&bundle, subject, &mut report);
    statements::test_result(&bundle, subject, &mut report);
    inclusion::check(&bundle, subject, &statement, &mut report);
    artifacts::archive(&bundle, subject.archive, &mut report);
    report
}
