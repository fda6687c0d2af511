//! Verifies the evidence of one run, which may come from anywhere: every byte is suspected until a digest that leads to a
//! signature says otherwise.

mod artifacts;
mod bundle;
mod deletion;
pub mod document;
mod event_log;
mod inclusion;
mod pool;
mod report;
mod segment;
mod statements;

use schemas::attestation::key::PublicKey;

use self::bundle::Bundle;
use crate::source::Source;

pub use self::deletion::Told;
pub use self::report::{Check, Report, Status};

/// The public keys that signatures are verified with.
#[derive(Debug)]
pub struct Trust {
    pub keys: Vec<PublicKey>,
    /// The origin of the keys, for people.
    pub source: String,
    /// False for keys that came with the evidence, or from whoever served it: anybody could have made them. With such keys
    /// nothing is more than [`Status::Consistent`].
    pub named: bool,
}

/// The evidence of one run, and everything at hand to verify it with.
pub struct Subject<'a> {
    /// The bundle in JSON, in any of its forms.
    pub evidence: &'a [u8],
    pub files: &'a dyn Source,
    /// `None`: no public keys are known.
    pub trust: Option<Trust>,
    /// False if the artifacts were left out on purpose.
    pub with_artifacts: bool,
}

/// Makes every check that can be made, and reports those that could not.
pub fn verify(subject: &Subject<'_>) -> Report {
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
    event_log::check(&bundle, subject.files, &mut report);
    artifacts::check(&bundle, subject, &mut report);
    statements::provenance(&bundle, subject, &mut report);
    statements::test_result(&bundle, subject, &mut report);
    inclusion::check(&bundle, subject, &statement, &mut report);
    artifacts::archive(&bundle, subject.files, &mut report);
    if subject.trust.as_ref().is_some_and(|trust| !trust.named) {
        report.nobody_was_named();
    }
    report
}
