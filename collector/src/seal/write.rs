//! Writes the objects of one case: the last part of its event log, its Evidence Bundle, the signed statements.

use bytes::Bytes;
use schemas::evidence::EventLogPart;
use schemas::layout;
use schemas::merkle::Hash;
use schemas::message::Segment;
use sha2::{Digest, Sha256};

use super::case::Case;
use super::{attest, bundle, event_log_parts};
use crate::context::Context;
use crate::put_once::put_once;

/// A case whose objects are in the store.
#[derive(Debug)]
pub(super) struct Sealed {
    pub case: Case,
    pub terminal: Segment,
    pub last_part: EventLogPart,
    pub leaves: Vec<Hash>,
    pub evidence_key: String,
    pub evidence_sha256: String,
    pub attestation_sha256: String,
}

pub(super) async fn write(context: &Context, case: Case) -> anyhow::Result<Sealed> {
    let terminal = case.terminal_segment()?;
    let part = case.last_part(&terminal)?;
    let prefix = case.row.prefix();
    let last_part = event_log_parts::describe(&prefix, case.parts.len(), &part);
    let bundle = bundle::assemble(&case, &last_part, &part.leaves);
    let evidence: Bytes = schemas::canonical::to_vec(&bundle)?.into();
    let evidence_key = format!("{prefix}/{}", layout::EVIDENCE);
    let evidence_sha256 = hex::encode(Sha256::digest(&evidence));
    let statements = attest::statements(&context.builder_id, &bundle, &prefix, &evidence_sha256)?;
    let attestation_sha256 = statements.evidence.sha256();
    // The tables are made of these soon.
    let index = usize::try_from(part.index_offset).ok().and_then(|offset| part.bytes.get(offset..));
    context.recent_objects.keep(&last_part.object_key, Bytes::copy_from_slice(index.unwrap_or_default()));
    context.recent_objects.keep(&evidence_key, evidence.clone());
    // All objects are complete before any is announced, so their order does not matter.
    tokio::try_join!(
        put_once(&context.vault, &last_part.object_key, part.bytes.into(), event_log_parts::CONTENT_TYPE),
        put_once(&context.vault, &evidence_key, evidence, "application/json"),
        statements.put(context),
    )?;
    Ok(Sealed { case, terminal, last_part, leaves: part.leaves, evidence_key, evidence_sha256, attestation_sha256 })
}
