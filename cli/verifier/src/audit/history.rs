//! The log as a whole: who signed it, and that it is the log of the last audit, only longer.

use schemas::merkle::Hash;
use schemas::transparency::checkpoint::{Checkpoint, CheckpointError};
use schemas::transparency::proof::verify_consistency;

use super::report::Finding;

/// The checkpoint in the note that the log serves now (`None`: it serves none), if one of the keys signed it and it is not
/// shorter than that of the last audit.
pub fn signed(note: Option<&str>, last: Option<&Checkpoint>, public_keys: &[[u8; 32]]) -> Result<Checkpoint, Finding> {
    let note = note.ok_or_else(|| Finding::new("checkpoint_missing", "the log has no checkpoint"))?;
    let origin = match last {
        Some(last) => last.origin.clone(),
        // The first audit takes the log's own word for its name.
        None => Checkpoint::unverified(note).map(|claimed| claimed.origin).unwrap_or_default(),
    };
    let checkpoint = Checkpoint::verified(note, &origin, public_keys).map_err(|error| {
        let code = if matches!(error, CheckpointError::OtherLog { .. }) { "other_log" } else { "bad_signature" };
        Finding::new(code, error.to_string())
    })?;
    match last.map(|last| last.tree.size) {
        Some(then) if checkpoint.tree.size < then => {
            let now = checkpoint.tree.size;
            let message = format!("the log had {then} entries at the last audit and has {now} now");
            Err(Finding::new("rolled_back", message))
        }
        _ => Ok(checkpoint),
    }
}

/// Proves that the log of the last audit is the beginning of the log of now.
pub fn grown(last: &Checkpoint, now: &Checkpoint, proof: &[Hash]) -> Result<(), Finding> {
    verify_consistency(&last.tree, &now.tree, proof).map_err(|error| {
        let size = last.tree.size;
        let message = format!("the first {size} entries are not those of the last audit: {error}");
        Finding::new("inconsistent", message)
    })
}
