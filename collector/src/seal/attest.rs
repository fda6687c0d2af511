//! The signed statements of a run, as objects beside its bundle.

use bytes::Bytes;
use futures_util::future::try_join_all;
use infra::s3::Put;
use schemas::attestation::dsse::Envelope;
use schemas::attestation::key::PublicKey;
use schemas::attestation::predicate;
use schemas::evidence::EvidenceBundle;
use schemas::layout;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::context::Context;
use crate::db::signing_keys;

const CONTENT_TYPE: &str = "application/vnd.dsse.envelope.v1+json";

/// A statement that is to be signed and stored.
pub(super) struct Unsigned {
    key: String,
    payload: Vec<u8>,
}

/// All statements about one run.
pub(super) struct Statements {
    /// The statement about the whole bundle.
    pub evidence: Unsigned,
    pub others: Vec<Unsigned>,
}

/// Makes the statements about a bundle with this digest, which is to be stored under `prefix`.
pub(super) fn statements(
    builder_id: &str,
    bundle: &EvidenceBundle,
    prefix: &str,
    evidence_sha256: &str,
) -> anyhow::Result<Statements> {
    let evidence_key = format!("{prefix}/{}", layout::EVIDENCE);
    let evidence = predicate::run_evidence(bundle, &evidence_key, evidence_sha256);
    let evidence = Unsigned::new(prefix, layout::ATTESTATION, &evidence)?;
    let mut others = Vec::new();
    if let Some(provenance) = predicate::provenance(bundle, builder_id) {
        others.push(Unsigned::new(prefix, layout::PROVENANCE, &provenance)?);
    }
    if let Some(result) = predicate::test_result(bundle, &evidence_key, evidence_sha256) {
        others.push(Unsigned::new(prefix, layout::TEST_RESULT, &result)?);
    }
    Ok(Statements { evidence, others })
}

impl Statements {
    pub(super) async fn put(&self, context: &Context) -> anyhow::Result<()> {
        let all = std::iter::once(&self.evidence).chain(&self.others);
        try_join_all(all.map(|statement| statement.put(context))).await.map(drop)
    }
}

impl Unsigned {
    fn new(prefix: &str, name: &str, statement: &impl Serialize) -> anyhow::Result<Self> {
        Ok(Self { key: format!("{prefix}/{name}"), payload: schemas::canonical::to_vec(statement)? })
    }

    pub(super) fn sha256(&self) -> String {
        hex::encode(Sha256::digest(&self.payload))
    }

    /// Signs and stores the statement. An object that is there already must say the same, and may be signed by an
    /// earlier key.
    async fn put(&self, context: &Context) -> anyhow::Result<()> {
        let envelope = context.signer.envelope(&self.payload).await?;
        let body: Bytes = serde_json::to_vec(&envelope)?.into();
        if context.vault.put_new(&self.key, body.clone(), CONTENT_TYPE).await? == Put::Created {
            return Ok(());
        }
        let present = context.vault.get(&self.key).await?;
        if present == body {
            return Ok(());
        }
        let keys = signing_keys::add(&context.pool.get().await?, context.signer.public_key().bytes()).await?;
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
