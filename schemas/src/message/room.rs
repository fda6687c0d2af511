//! The room of an ending. A message has a bound, and an ending names files as a stranger's command named them: so it is
//! counted what its lists take, and what has no room is left out and said.

use serde::Serialize;

use crate::artifact::ArtifactError;

/// Bytes of all entries for artifacts, as JSON.
const ARTIFACTS_BYTES: usize = 5 << 19;
/// Bytes of all entries for artifact errors, as JSON.
const ERRORS_BYTES: usize = 1 << 19;
/// The members of an artifact's entry without its path and its name, which is in the object's key, too.
const ENTRY_BYTES: usize = 600;

/// The room that the lists of an ending have left.
#[derive(Debug)]
pub struct Room {
    artifacts: usize,
    errors: usize,
    /// The first error without room, and the number of those after it.
    left_out: Option<(ArtifactError, u64)>,
}

impl Default for Room {
    fn default() -> Self {
        Self { artifacts: ARTIFACTS_BYTES, errors: ERRORS_BYTES, left_out: None }
    }
}

impl Room {
    /// Takes the room of an artifact's entry. Without room the artifact is not to be collected: nobody would find it.
    #[must_use]
    pub fn take_artifact(&mut self, path: &str, name: &str) -> bool {
        let bytes = json_bytes(&path).saturating_add(2 * json_bytes(&name)).saturating_add(ENTRY_BYTES);
        take(&mut self.artifacts, bytes)
    }

    /// Takes the room of an error's entry. An error without room is counted.
    #[must_use]
    pub fn take_error(&mut self, error: &ArtifactError) -> bool {
        // Once one was left out, all are: the list is a beginning, and not a choice.
        if self.left_out.is_none() && take(&mut self.errors, json_bytes(error) + 1) {
            return true;
        }
        match &mut self.left_out {
            Some((_, others)) => *others += 1,
            None => self.left_out = Some((error.clone(), 0)),
        }
        false
    }

    /// The last entry of the errors, which counts those that had no room.
    pub fn into_last_error(self) -> Option<ArtifactError> {
        let (error, others) = self.left_out?;
        let message = match others {
            0 => error.message,
            others => format!("{} (and {others} more artifact errors, which only the event log lists)", error.message),
        };
        Some(ArtifactError { message, ..error })
    }
}

fn take(room: &mut usize, bytes: usize) -> bool {
    match room.checked_sub(bytes) {
        Some(left) => {
            *room = left;
            true
        }
        None => false,
    }
}

fn json_bytes(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX, |bytes| bytes.len())
}
