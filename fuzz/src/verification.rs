//! Evidence as a stranger may hand it over for verification.

use schemas::attestation::dsse::{DsseError, Envelope};
use schemas::attestation::key::PublicKey;
use schemas::attestation::predicate::{RUN_EVIDENCE, RunEvidence};
use schemas::attestation::statement::Statement;
use schemas::evidence::{Document, DocumentError};
use verifier::evidence::{Status, Subject, verify};
use verifier::{Content, Found, Source};

/// A bundle without its files.
struct NoFiles;

impl Source for NoFiles {
    fn open(&self, _name: &str) -> Found<Content> {
        Ok(None)
    }

    fn archive(&self) -> Found<Content> {
        Ok(None)
    }
}

/// A signed statement, which no known key has signed.
pub(crate) fn envelope(bytes: &[u8]) -> bool {
    let Ok(envelope) = Envelope::parse(bytes) else { return false };
    let nobody = [PublicKey::new([1; 32])];
    let verified = envelope.verify(&nobody);
    assert!(verified.is_err(), "the key is of nobody");
    let Ok(payload) = envelope.payload() else { return matches!(verified, Err(DsseError::Malformed(_))) };
    Statement::<RunEvidence>::parse(&payload, RUN_EVIDENCE).is_ok()
}

/// A bundle alone: it is read, or refused, and never verified.
pub(crate) fn bundle(bytes: &[u8]) -> bool {
    let subject = Subject { evidence: bytes, files: &NoFiles, trust: None, with_artifacts: true };
    assert!(verify(&subject).result() != Status::Verified, "nothing proves it");
    match Document::parse(bytes) {
        Ok(document) => {
            let again = Document::parse(document.canonical());
            assert_eq!(again.ok().as_ref(), Some(&document), "the canonical form says something else");
            true
        }
        Err(DocumentError::Later { .. }) => true,
        Err(_) => false,
    }
}
