//! Runs against the log: the evidence that is served now must be the evidence that was logged when the run was sealed.

use schemas::Timestamp;
use schemas::api::attestations::AttestationList;
use schemas::attestation::dsse::DsseError;
use schemas::attestation::predicate::RUN_EVIDENCE;
use schemas::canonical;
use schemas::id::RunId;
use schemas::merkle::{Hash, leaf_hash};
use schemas::transparency::inclusion::{EntryMismatch, Inclusion, Logged};
use schemas::transparency::proof::{TreeHead, verify_inclusion};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::report::Finding;

/// A run whose evidence is older than this and not in the log was left out, or removed.
const LOGGED_WITHIN_MS: u64 = 300_000;

/// The evidence that a server serves, as far as the log is about it.
#[derive(Debug)]
pub struct Served {
    sha256: String,
    sealed_at: Timestamp,
}

impl Served {
    pub fn read(run: &RunId, evidence: &Value) -> Result<Self, Finding> {
        let replaced = |message| Finding::of(run, "evidence_replaced", message);
        let sealed_at = evidence["timing"]["sealedAt"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
        let (Some(sealed_at), Ok(bytes)) = (sealed_at, canonical::to_vec(evidence)) else {
            return Err(replaced("what is served as evidence is no Evidence Bundle"));
        };
        if evidence["workspaceRunId"] != *run.as_str() {
            return Err(replaced("what is served is the evidence of another run"));
        }
        Ok(Self { sha256: hex::encode(Sha256::digest(&bytes)), sealed_at })
    }

    /// True if the log may not have the run yet.
    fn is_recent(&self, now: Timestamp) -> bool {
        now.millis_since(self.sealed_at) <= LOGGED_WITHIN_MS
    }
}

/// The finding about a run without an entry: a problem (`Err`), or a run that was sealed a moment ago (`Ok`).
pub fn not_logged(run: &RunId, served: &Served, now: Timestamp) -> Result<Finding, Finding> {
    if served.is_recent(now) {
        let message = "sealed a moment ago, and not in the log yet: audit it again";
        return Ok(Finding::of(run, "not_logged_yet", message));
    }
    Err(Finding::of(run, "not_logged", "the log has no entry for this run"))
}

/// SHA-256 of the signed statement about the run as a whole. Who signed it is for [`crate::evidence::verify`] to say.
pub fn statement_sha256(served: AttestationList) -> Result<Option<String>, DsseError> {
    let statement = served.data.into_iter().find(|attestation| attestation.predicate_type == RUN_EVIDENCE);
    let payload = statement.map(|attestation| attestation.envelope.payload()).transpose()?;
    Ok(payload.map(|payload| hex::encode(Sha256::digest(payload))))
}

/// Compares the entry that is claimed to be in the log with what is served: the evidence, and the statement if there is one.
pub fn claim(
    run: &RunId,
    served: &Served,
    attestation_sha256: Option<&str>,
    claimed: &Inclusion,
) -> Result<(), Finding> {
    if claimed.entry.attestation_sha256.is_some() && attestation_sha256.is_none() {
        let message = "the log has a signed statement about this run, and none is served";
        return Err(Finding::of(run, "attestation_missing", message));
    }
    let logged = Logged { run, evidence_sha256: &served.sha256, attestation_sha256, sealed_at: served.sealed_at };
    claimed.entry.matches(&logged).map_err(|error| {
        let code = match error {
            EntryMismatch::Run => "entry_of_other_run",
            EntryMismatch::Attestation { .. } => "attestation_replaced",
            _ => "evidence_replaced",
        };
        Finding::of(run, code, error.to_string())
    })
}

/// Proves that the tree has the claimed entry; `None` as the proof: the tree cannot have it.
pub fn prove(run: &RunId, claimed: &Inclusion, tree: &TreeHead, proof: Option<&[Hash]>) -> Result<(), Finding> {
    let missing = |reason: String| Finding::of(run, "not_logged", reason);
    let entry = claimed.entry.to_bytes();
    let entry = entry.map_err(|_| missing("the entry of this run has no canonical form".to_owned()))?;
    let (index, size) = (claimed.leaf_index, tree.size);
    let proof = proof.ok_or_else(|| {
        missing(format!("the entry of this run is said to be number {index}, the log has {size} entries"))
    })?;
    verify_inclusion(&leaf_hash(&entry), index, size, proof, &tree.root)
        .map_err(|error| missing(format!("the entry of this run cannot be proven: {error}")))
}
