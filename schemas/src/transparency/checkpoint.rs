//! Checkpoints (C2SP tlog-checkpoint): the text of a signed note that names a log, its size and its root hash.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::MAX_TREE_SIZE;
use super::note::{Note, NoteError, NoteKey};
use super::proof::TreeHead;
use crate::merkle::Hash;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Identity of the log, and name of its key.
    pub origin: String,
    pub tree: TreeHead,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error(transparent)]
    Note(#[from] NoteError),
    #[error("expected a checkpoint: lines with origin, tree size and root hash")]
    Malformed,
    #[error("the checkpoint is of the log `{got}`, expected `{expected}`")]
    OtherLog { expected: String, got: String },
}

impl Checkpoint {
    /// The signed text.
    pub fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.tree.size, STANDARD.encode(self.tree.root))
    }

    /// The checkpoint that a signed note claims; the signature is not checked.
    pub fn unverified(note: &str) -> Result<Self, CheckpointError> {
        Self::from_text(Note::parse(note)?.text)
    }

    /// The checkpoint of a signed note, if one of these public keys has signed it as the log of this origin.
    pub fn verified(note: &str, origin: &str, public_keys: &[[u8; 32]]) -> Result<Self, CheckpointError> {
        let keys = public_keys.iter().map(|key| NoteKey::new(origin, *key)).collect::<Result<Vec<_>, _>>()?;
        let claimed = Self::unverified(note)?;
        if claimed.origin != origin {
            return Err(CheckpointError::OtherLog { expected: origin.to_owned(), got: claimed.origin });
        }
        Note::parse(note)?.verify(&keys)?;
        Ok(claimed)
    }

    fn from_text(text: &str) -> Result<Self, CheckpointError> {
        Self::lines(text).ok_or(CheckpointError::Malformed)
    }

    fn lines(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        // Extension lines are allowed, and ignored.
        if origin.is_empty() || lines.any(str::is_empty) {
            return None;
        }
        let number: u64 = size.parse().ok().filter(|number| *number <= MAX_TREE_SIZE)?;
        let root: Hash = STANDARD.decode(root).ok()?.try_into().ok()?;
        (number.to_string() == size).then(|| Self { origin: origin.to_owned(), tree: TreeHead { size: number, root } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transparency::note;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    fn signed(checkpoint: &Checkpoint, seed: u8) -> (String, [u8; 32]) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let public = pair.public_key().as_ref().try_into().unwrap();
        let text = checkpoint.to_text();
        let key = NoteKey::new(&checkpoint.origin, public).unwrap();
        (note::signed(&text, &key, pair.sign(text.as_bytes()).as_ref()), public)
    }

    #[test]
    fn only_the_log_s_own_key_can_sign_it() {
        let tree = TreeHead { size: 20_852_163, root: [7; 32] };
        let checkpoint = Checkpoint { origin: "example.com/tlog".to_owned(), tree };
        let (note, public) = signed(&checkpoint, 1);
        assert!(
            note.starts_with("example.com/tlog\n20852163\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n\n\u{2014} ")
        );
        let verify = |note: &str, origin: &str, key| Checkpoint::verified(note, origin, &[[5; 32], key]);
        assert_eq!(verify(&note, "example.com/tlog", public), Ok(checkpoint));
        assert!(matches!(verify(&note, "example.com/other", public), Err(CheckpointError::OtherLog { .. })));
        assert!(matches!(
            verify(&note, "example.com/tlog", [6; 32]),
            Err(CheckpointError::Note(NoteError::UnknownKeys(_)))
        ));
        let larger = note.replace("20852163", "20852164");
        assert!(matches!(
            verify(&larger, "example.com/tlog", public),
            Err(CheckpointError::Note(NoteError::BadSignature(_)))
        ));
    }

    #[test]
    fn the_text_is_strict() {
        let root = STANDARD.encode([7; 32]);
        for (text, valid) in [
            (format!("o\n0\n{root}\n"), true),
            (format!("o\n9007199254740992\n{root}\nextension\n"), true),
            (format!("o\n9007199254740993\n{root}\n"), false),
            (format!("o\n01\n{root}\n"), false),
            (format!("o\n+1\n{root}\n"), false),
            (format!("o\n1\n{root}"), false),
            (format!("o\n1\n{root}\n\nx\n"), false),
            (format!("\n1\n{root}\n"), false),
            (format!("o\n1\n{}\n", &root[4..]), false),
            ("o\n1\n".to_owned(), false),
        ] {
            assert_eq!(Checkpoint::from_text(&text).is_ok(), valid, "{text:?}");
        }
    }
}
