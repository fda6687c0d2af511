//! The proof that the evidence log has this bundle: the entry, the audit path, and the signed checkpoint.

use schemas::api::inclusion::InclusionAnswer;
use schemas::transparency::inclusion::Logged;

use super::Subject;
use super::bundle::Bundle;
use super::report::{Check, Report};
use super::statements::Attested;
use crate::source::{self, names};

/// A proof is some kilobytes.
const MAX_BYTES: u64 = 1 << 20;

pub(super) fn check(bundle: &Bundle, subject: &Subject<'_>, attested: &Attested, report: &mut Report) {
    report.push(match judge(bundle, subject, attested) {
        Ok(check) => check,
        Err(message) => Check::failed("inclusion", message),
    });
}

fn judge(bundle: &Bundle, subject: &Subject<'_>, attested: &Attested) -> Result<Check, String> {
    let Some(bytes) = source::read(subject.files, names::INCLUSION, MAX_BYTES)? else {
        return Ok(Check::not_checked("inclusion", "there is no proof that the evidence log has this bundle"));
    };
    let answer: InclusionAnswer = serde_json::from_slice(&bytes)
        .map_err(|error| format!("{}: expected a proof of inclusion: {error}", names::INCLUSION))?;
    let Some(trust) = &subject.trust else {
        let message = "no public keys are known: give them with --keys";
        return Ok(Check::not_checked("inclusion", message));
    };
    let inclusion = answer.inclusion;
    let attestation_sha256 = match attested {
        Attested::Payload(sha256) => Some(sha256.as_str()),
        Attested::Missing if inclusion.entry.attestation_sha256.is_some() => {
            return Err("the log says that there is a signed statement about this run, and it is missing".to_owned());
        }
        Attested::Missing | Attested::Unreadable => None,
    };
    let logged = Logged {
        run: &bundle.content.workspace_run_id,
        evidence_sha256: &bundle.sha256,
        attestation_sha256,
        sealed_at: bundle.content.timing.sealed_at,
    };
    let keys: Vec<[u8; 32]> = trust.keys.iter().map(|key| *key.bytes()).collect();
    let checkpoint = inclusion.verify(&logged, &keys).map_err(|error| error.to_string())?;
    let (index, size, origin) = (inclusion.leaf_index, checkpoint.tree.size, checkpoint.origin);
    Ok(Check::verified("inclusion", format!("entry {index} of the log {origin}, signed at {size} entries")))
}
