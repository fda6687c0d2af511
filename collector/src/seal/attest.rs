//! The signed statements of a run, as objects beside its bundle.

use bytes::Bytes;
use infra::s3::Put;
use schemas::attestation::dsse::Envelope;
use schemas::attestation::key::PublicKey;
use schemas::attestation::predicate;
use schemas::evidence::EvidenceBundle;
use sha2::{Digest, Sha256};

use crate::service::Parts;
use crate::tables::signing_keys;

const CONTENT_TYPE: &str = "application/vnd.dsse.envelope.v1+json";

/// A statement that is to be signed and stored.
pub(super) struct Unsigned {
    pub key: String,
    pub payload: Vec<u8>,
}

/// About the bundle with these bytes, which is to be stored under `prefix`. The first is the one about everything.
pub(super) fn statements(
    parts: &Parts,
    bundle: &EvidenceBundle,
    prefix: &str,
    evidence_sha256: &str,
) -> anyhow::Result<Vec<Unsigned>> {
    let evidence = predicate::run_evidence(bundle, &format!("{prefix}/evidence.json"), evidence_sha256);
    let mut statements = vec![Unsigned {
        key: format!("{prefix}/attestation.dsse.json"),
        payload: schemas::canonical::to_vec(&evidence)?,
    }];
    if let Some(provenance) = predicate::provenance(bundle, &parts.builder_id) {
        let (key, payload) = (format!("{prefix}/provenance.dsse.json"), schemas::canonical::to_vec(&provenance)?);
        statements.push(Unsigned { key, payload });
    }
    Ok(statements)
}

impl Unsigned {
    pub(super) fn sha256(&self) -> String {
        hex::encode(Sha256::digest(&self.payload))
    }

    /// What is there already must say the same, and may be signed by an earlier key.
    pub(super) async fn put(&self, parts: &Parts) -> anyhow::Result<()> {
        let envelope = parts.signer.envelope(&self.payload).await?;
        let body: Bytes = serde_json::to_vec(&envelope)?.into();
        if parts.store.put_new(&self.key, body.clone(), CONTENT_TYPE).await? == Put::Created {
            return Ok(());
        }
        let present = parts.store.get(&self.key).await?;
        if present == body {
            return Ok(());
        }
        let keys = signing_keys::add(&parts.pool.get().await?, parts.signer.public_key().bytes()).await?;
        let keys: Vec<PublicKey> = keys.into_iter().map(PublicKey::new).collect();
        let verified = Envelope::parse(&present).and_then(|envelope| Ok(envelope.verify(&keys)?.0));
        anyhow::ensure!(
            verified.as_ref().is_ok_and(|payload| *payload == self.payload),
            "object `{}` exists and is not what was signed before ({})",
            self.key,
            verified.map_or_else(|error| error.to_string(), |_| "it says something else".to_owned())
        );
        Ok(())
    }
}
