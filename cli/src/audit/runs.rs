//! Runs against the log: the evidence that is served now must be the one that was logged when the run was sealed.

use schemas::Timestamp;
use schemas::attestation::predicate::RUN_EVIDENCE;
use schemas::canonical;
use schemas::id::RunId;
use schemas::merkle::leaf_hash;
use schemas::transparency::inclusion::{EntryMismatch, Inclusion, Logged};
use schemas::transparency::proof::verify_inclusion;
use sha2::{Digest as _, Sha256};

use super::log_reader::LogReader;
use super::report::Finding;
use crate::client::Client;
use crate::failure::Failure;

/// A run whose evidence is older than this and not in the log was left out, or removed.
const LOGGED_WITHIN_MS: u64 = 300_000;

/// What the server said about one ended run.
#[derive(Debug)]
pub(crate) enum RunAudit {
    /// Evidence and entry fit together; whether the entry is in the log is still to be seen.
    Claimed {
        run: RunId,
        inclusion: Box<Inclusion>,
    },
    Problem(Finding),
    NotChecked(Finding),
}

/// Asks for the evidence of an ended run and for its entry, and compares them.
pub(crate) async fn collect(client: &Client, run: &RunId) -> RunAudit {
    match ask(client, run).await {
        Ok(audit) => audit,
        Err(failure) => RunAudit::NotChecked(Finding::of(run, "not_checked", failure.message)),
    }
}

async fn ask(client: &Client, run: &RunId) -> Result<RunAudit, Failure> {
    let problem = |code, message: &str| Ok(RunAudit::Problem(Finding::of(run, code, message)));
    let evidence = match client.evidence(run).await {
        Ok(evidence) => evidence,
        Err(failure) if failure.code == "not_found" => {
            return problem("evidence_missing", "the run has ended, and its evidence is not served: it was removed");
        }
        Err(failure) => return Err(failure),
    };
    let sealed_at = evidence["timing"]["sealedAt"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
    let (Some(sealed_at), Ok(bytes)) = (sealed_at, canonical::to_vec(&evidence)) else {
        return problem("evidence_replaced", "what is served as evidence is no Evidence Bundle");
    };
    if evidence["workspaceRunId"] != *run.as_str() {
        return problem("evidence_replaced", "what is served is the evidence of another run");
    }
    let inclusion = match client.inclusion(run).await {
        Ok(inclusion) => inclusion,
        Err(failure) if failure.code == "not_found" => {
            if Timestamp::now().millis_since(sealed_at) > LOGGED_WITHIN_MS {
                return problem("not_logged", "the log has no entry for this run");
            }
            let message = "sealed a moment ago, and not in the log yet: audit it again";
            return Ok(RunAudit::NotChecked(Finding::of(run, "not_logged_yet", message)));
        }
        Err(failure) => return Err(failure),
    };
    let attestation_sha256 = attestation(client, run).await?;
    if inclusion.entry.attestation_sha256.is_some() && attestation_sha256.is_none() {
        return problem("attestation_missing", "the log has a signed statement about this run, and none is served");
    }
    let evidence_sha256 = hex::encode(Sha256::digest(&bytes));
    let attestation_sha256 = attestation_sha256.as_deref();
    let bundle = Logged { run, evidence_sha256: &evidence_sha256, attestation_sha256, sealed_at };
    match inclusion.entry.matches(&bundle) {
        Ok(()) => Ok(RunAudit::Claimed { run: run.clone(), inclusion: Box::new(inclusion) }),
        Err(error @ EntryMismatch::Run) => problem("entry_of_other_run", &error.to_string()),
        Err(error @ EntryMismatch::Attestation { .. }) => problem("attestation_replaced", &error.to_string()),
        Err(error) => problem("evidence_replaced", &error.to_string()),
    }
}

/// SHA-256 of what is signed about the run as a whole. Who signed it is for `crownest evidence verify` to say.
async fn attestation(client: &Client, run: &RunId) -> Result<Option<String>, Failure> {
    let served = match client.attestations(run).await {
        Ok(served) => served.data,
        Err(failure) if failure.code == "not_found" => Vec::new(),
        Err(failure) => return Err(failure),
    };
    let statement = served.into_iter().find(|attestation| attestation.predicate_type == RUN_EVIDENCE);
    let payload = statement.map(|attestation| attestation.envelope.payload()).transpose();
    let payload = payload.map_err(|error| Failure::invalid_answer(error.to_string()))?;
    Ok(payload.map(|payload| hex::encode(Sha256::digest(payload))))
}

/// Whether the claimed entry is in the tree; the proof is made from its tiles.
pub(crate) async fn prove(
    log: &mut LogReader<'_>,
    run: &RunId,
    claimed: &Inclusion,
) -> Result<Option<Finding>, Failure> {
    let missing = |reason: String| Ok(Some(Finding::of(run, "not_logged", reason)));
    let Ok(entry) = claimed.entry.to_bytes() else {
        return missing("the entry of this run has no canonical form".to_owned());
    };
    let Some(proof) = log.inclusion_proof(claimed.leaf_index).await? else {
        let (index, size) = (claimed.leaf_index, log.tree.size);
        return missing(format!("the entry of this run is said to be number {index}, the log has {size} entries"));
    };
    match verify_inclusion(&leaf_hash(&entry), claimed.leaf_index, log.tree.size, &proof, &log.tree.root) {
        Ok(()) => Ok(None),
        Err(error) => missing(format!("the entry of this run cannot be proven: {error}")),
    }
}
