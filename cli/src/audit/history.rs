//! The log as a whole: who signed it, and whether it is the log of the last audit, only longer.

use schemas::transparency::checkpoint::{Checkpoint, CheckpointError};
use schemas::transparency::proof::verify_consistency;

use super::log_reader::LogReader;
use super::report::Finding;
use crate::client::Client;
use crate::failure::Failure;

/// What the checkpoint turned out to be.
#[derive(Debug)]
pub(crate) enum History {
    /// Signed, and consistent with what was seen before.
    Grown(Checkpoint),
    Broken(Finding),
}

/// Judges the note that the log serves now. `None` as the note: it serves none.
pub(crate) async fn examine(
    note: Option<&str>,
    last: Option<&Checkpoint>,
    public_keys: &[[u8; 32]],
    client: &Client,
) -> Result<History, Failure> {
    let broken = |code, message: String| Ok(History::Broken(Finding::new(code, message)));
    let Some(note) = note else {
        return broken("checkpoint_missing", "the log has no checkpoint".to_owned());
    };
    let origin = match last {
        Some(last) => last.origin.clone(),
        // Nobody knows yet what it is called: it says so itself.
        None => Checkpoint::unverified(note).map(|claimed| claimed.origin).unwrap_or_default(),
    };
    let checkpoint = match Checkpoint::verified(note, &origin, public_keys) {
        Ok(checkpoint) => checkpoint,
        Err(error @ CheckpointError::OtherLog { .. }) => return broken("other_log", error.to_string()),
        Err(error) => return broken("bad_signature", error.to_string()),
    };
    let Some(last) = last else { return Ok(History::Grown(checkpoint)) };
    if checkpoint.tree.size < last.tree.size {
        let (now, then) = (checkpoint.tree.size, last.tree.size);
        return broken("rolled_back", format!("the log had {then} entries at the last audit and has {now} now"));
    }
    let mut reader = LogReader::new(client, checkpoint.tree);
    let proof = reader.consistency_proof(last.tree.size).await?.unwrap_or_default();
    match verify_consistency(&last.tree, &checkpoint.tree, &proof) {
        Ok(()) => Ok(History::Grown(checkpoint)),
        Err(error) => {
            let size = last.tree.size;
            broken("inconsistent", format!("the first {size} entries are not those of the last audit: {error}"))
        }
    }
}
