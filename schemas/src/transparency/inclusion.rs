//! Proof that one run's evidence is in the log: everything that is needed to check it offline, and the check.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checkpoint::{Checkpoint, CheckpointError};
use super::entry::{Entry, run_digest};
use super::proof::{MAX_HASHES, ProofError, verify_inclusion};
use crate::Timestamp;
use crate::canonical::CanonicalError;
use crate::id::RunId;
use crate::merkle::{Hash, leaf_hash};

/// The proof, as the API returns it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Inclusion {
    /// Name of the log: the first line of its checkpoints.
    pub log_origin: String,
    /// A signed note (C2SP tlog-checkpoint) with the size and root hash of the log that the proof is for.
    pub checkpoint: String,
    /// The entry's number, from 0.
    pub leaf_index: u64,
    /// Entries of the log at this checkpoint.
    pub tree_size: u64,
    pub entry: Entry,
    /// Audit path after RFC 6962 section 2.1.1, from the leaf up, each hash in hexadecimal.
    pub hashes: Vec<String>,
}

/// Facts about a bundle that its entry must state.
#[derive(Debug, Clone, Copy)]
pub struct Logged<'a> {
    pub run: &'a RunId,
    pub evidence_sha256: &'a str,
    /// Digest of the DSSE payload; `None` leaves it unchecked.
    pub attestation_sha256: Option<&'a str>,
    pub sealed_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryMismatch {
    #[error("the log's entry is about another run")]
    Run,
    #[error("the log has evidence with SHA-256 {logged} for this run, this evidence has {got}: it was replaced")]
    Evidence { logged: String, got: String },
    #[error("the log has an attestation with SHA-256 {logged} for this run, this one has {got}: it was replaced")]
    Attestation { logged: String, got: String },
    #[error("the log says sealed at {logged}, the evidence {got}")]
    SealedAt { logged: Timestamp, got: Timestamp },
}

#[derive(Debug, thiserror::Error)]
pub enum InclusionError {
    #[error(transparent)]
    Entry(#[from] EntryMismatch),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("the checkpoint is of {checkpoint} entries, the proof of {proof}")]
    OtherSize { checkpoint: u64, proof: u64 },
    #[error("expected at most {MAX_HASHES} hashes of 64 hexadecimal digits in the proof")]
    Hashes,
    #[error("the entry has no canonical form")]
    Canonical(#[from] CanonicalError),
    #[error("the entry is not in the log: {0}")]
    Proof(#[from] ProofError),
}

impl Entry {
    /// Checks that this is the entry of the bundle.
    pub fn matches(&self, bundle: &Logged<'_>) -> Result<(), EntryMismatch> {
        if self.run_sha256 != run_digest(bundle.run) {
            return Err(EntryMismatch::Run);
        }
        if self.evidence_sha256 != bundle.evidence_sha256 {
            let (logged, got) = (self.evidence_sha256.clone(), bundle.evidence_sha256.to_owned());
            return Err(EntryMismatch::Evidence { logged, got });
        }
        if let Some(got) = bundle.attestation_sha256.filter(|got| self.attestation_sha256.as_deref() != Some(got)) {
            let logged = self.attestation_sha256.clone().unwrap_or_else(|| "none".to_owned());
            return Err(EntryMismatch::Attestation { logged, got: got.to_owned() });
        }
        if self.sealed_at != bundle.sealed_at {
            return Err(EntryMismatch::SealedAt { logged: self.sealed_at, got: bundle.sealed_at });
        }
        Ok(())
    }
}

impl Inclusion {
    /// Checks that the entry is that of the bundle and is in the tree, and that one of the keys signed the tree.
    pub fn verify(&self, bundle: &Logged<'_>, public_keys: &[[u8; 32]]) -> Result<Checkpoint, InclusionError> {
        self.entry.matches(bundle)?;
        let checkpoint = Checkpoint::verified(&self.checkpoint, &self.log_origin, public_keys)?;
        if checkpoint.tree.size != self.tree_size {
            return Err(InclusionError::OtherSize { checkpoint: checkpoint.tree.size, proof: self.tree_size });
        }
        if self.hashes.len() > MAX_HASHES {
            return Err(InclusionError::Hashes);
        }
        let hash = |text: &String| hex::decode(text).ok()?.try_into().ok();
        let hashes: Option<Vec<Hash>> = self.hashes.iter().map(hash).collect();
        let leaf = leaf_hash(&self.entry.to_bytes()?);
        let hashes = hashes.ok_or(InclusionError::Hashes)?;
        verify_inclusion(&leaf, self.leaf_index, checkpoint.tree.size, &hashes, &checkpoint.tree.root)?;
        Ok(checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle;
    use crate::transparency::naive;
    use crate::transparency::note::{self, NoteKey};
    use crate::transparency::proof::TreeHead;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    const RUN: &str = "wsr_01JABCDEFGHJKMNPQRSTVWXYZ0";
    const EVIDENCE: &str = "aa00000000000000000000000000000000000000000000000000000000000000";

    fn proven() -> (Inclusion, [u8; 32]) {
        let entry = Entry {
            attestation_sha256: Some("payload".to_owned()),
            evidence_sha256: EVIDENCE.to_owned(),
            run_sha256: run_digest(&RUN.parse().unwrap()),
            sealed_at: "2026-01-31T12:00:00.000Z".parse().unwrap(),
            others: [("later".to_owned(), serde_json::json!([1]))].into(),
        };
        let mut leaves = naive::leaves(11);
        leaves[6] = leaf_hash(&entry.to_bytes().unwrap());
        let tree = TreeHead { size: 11, root: merkle::root(&leaves) };
        let checkpoint = Checkpoint { origin: "example.com/tlog".to_owned(), tree };
        let pair = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
        let public = pair.public_key().as_ref().try_into().unwrap();
        let key = NoteKey::new("example.com/tlog", public).unwrap();
        let text = checkpoint.to_text();
        let inclusion = Inclusion {
            log_origin: checkpoint.origin,
            checkpoint: note::signed(&text, &key, pair.sign(text.as_bytes()).as_ref()),
            leaf_index: 6,
            tree_size: 11,
            entry,
            hashes: naive::inclusion(6, &leaves).iter().map(hex::encode).collect(),
        };
        (inclusion, public)
    }

    #[test]
    fn survives_json_and_names_what_does_not_fit() {
        let (inclusion, public) = proven();
        let json = serde_json::to_string(&inclusion).unwrap();
        let inclusion: Inclusion = serde_json::from_str(&json).unwrap();
        let run: RunId = RUN.parse().unwrap();
        let sealed_at = inclusion.entry.sealed_at;
        let bundle = Logged { run: &run, evidence_sha256: EVIDENCE, attestation_sha256: Some("payload"), sealed_at };
        assert_eq!(inclusion.verify(&bundle, &[public]).unwrap().tree.size, 11);

        let check = |change: &dyn Fn(&mut Inclusion, &mut Logged<'_>), expected: &str| {
            let (mut inclusion, mut bundle) = (inclusion.clone(), bundle);
            change(&mut inclusion, &mut bundle);
            let error = inclusion.verify(&bundle, &[public]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(&|_, bundle| bundle.evidence_sha256 = "bb", "it was replaced");
        check(&|_, bundle| bundle.attestation_sha256 = Some("other"), "attestation");
        check(&|_, bundle| bundle.sealed_at = sealed_at.plus_millis(1), "sealed at");
        check(&|inclusion, _| inclusion.entry.run_sha256 = "cc".to_owned(), "another run");
        check(&|inclusion, _| inclusion.entry.others.clear(), "not in the log");
        check(&|inclusion, _| inclusion.leaf_index = 7, "not in the log");
        check(&|inclusion, _| inclusion.leaf_index = 11, "has no entry 11");
        check(&|inclusion, _| inclusion.tree_size = 12, "of 11 entries");
        check(&|inclusion, _| inclusion.hashes[0] = "xy".to_owned(), "hexadecimal");
        check(&|inclusion, _| inclusion.hashes = vec!["00".repeat(32); MAX_HASHES + 1], "at most");
        check(&|inclusion, _| inclusion.log_origin = "other".to_owned(), "expected `other`");
        check(
            &|inclusion, _| inclusion.checkpoint = inclusion.checkpoint.replace("\n11\n", "\n12\n"),
            "does not match",
        );
        assert!(matches!(inclusion.verify(&bundle, &[[0; 32]]), Err(InclusionError::Checkpoint(_))));
    }
}
