//! Fetches the proof that the log only grew since the last audit.

use schemas::transparency::checkpoint::Checkpoint;
use verifier::audit::{Finding, grown, signed};

use super::log_reader::LogReader;
use crate::client::Client;
use crate::failure::Failure;

/// The checkpoint in the note that the log serves now (`None`: it serves none), or what is wrong with the log.
pub(crate) async fn examine(
    note: Option<&str>,
    last: Option<&Checkpoint>,
    keys: &[[u8; 32]],
    client: &Client,
) -> Result<Result<Checkpoint, Finding>, Failure> {
    let checkpoint = match signed(note, last, keys) {
        Ok(checkpoint) => checkpoint,
        Err(finding) => return Ok(Err(finding)),
    };
    let Some(last) = last else { return Ok(Ok(checkpoint)) };
    let mut reader = LogReader::new(client, checkpoint.tree);
    let proof = reader.consistency_proof(last.tree.size).await?.unwrap_or_default();
    Ok(grown(last, &checkpoint, &proof).map(|()| checkpoint))
}
