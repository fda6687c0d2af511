//! Signed notes (C2SP signed-note): a text, an empty line, and signature lines. Only Ed25519 signatures (type 1) count.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};
use sha2::{Digest, Sha256};

/// A longer note is not read. Witnesses may add signatures of some KiB each.
pub const MAX_BYTES: usize = 128 * 1024;
/// A note with more signatures is not read; the specification asks for at least 16.
pub const MAX_SIGNATURES: usize = 64;
/// The signature type of Ed25519 in key ids.
const ED25519_TYPE: u8 = 1;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    #[error("expected a signed note of at most {MAX_BYTES} bytes, got {0}")]
    TooLong(usize),
    #[error("expected a signed note: a text, an empty line, and lines `— <name> <base64>`")]
    Malformed,
    #[error("the note has more than {MAX_SIGNATURES} signatures")]
    TooManySignatures,
    #[error("expected a key name without white space and plus, got `{0}`")]
    KeyName(String),
    #[error("none of the known keys has signed the note; its signatures are of {0}")]
    UnknownKeys(String),
    #[error("the signature of {0} does not match the note")]
    BadSignature(String),
}

/// A possible signer: a name and a public key, which together give the id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteKey {
    name: String,
    public: [u8; 32],
}

impl NoteKey {
    pub fn new(name: &str, public: [u8; 32]) -> Result<Self, NoteError> {
        if is_name(name) {
            Ok(Self { name: name.to_owned(), public })
        } else {
            Err(NoteError::KeyName(name.to_owned()))
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of SHA-256 over name, newline, signature type and key.
    pub fn id(&self) -> [u8; 4] {
        let digest: [u8; 32] = Sha256::new()
            .chain_update(&self.name)
            .chain_update([b'\n', ED25519_TYPE])
            .chain_update(self.public)
            .finalize()
            .into();
        let [a, b, c, d, ..] = digest;
        [a, b, c, d]
    }

    /// The key as other tools take it (a "vkey"): `<name>+<id>+<base64>`.
    pub fn to_vkey(&self) -> String {
        let typed = [&[ED25519_TYPE][..], &self.public].concat();
        format!("{}+{}+{}", self.name, hex::encode(self.id()), STANDARD.encode(typed))
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c == '+' || c.is_whitespace() || c.is_control())
}

/// A parsed note that is not yet verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note<'a> {
    /// The signed text, with its last newline.
    pub text: &'a str,
    signatures: Vec<Signature<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Signature<'a> {
    name: &'a str,
    key_id: [u8; 4],
    bytes: Vec<u8>,
}

impl<'a> Note<'a> {
    pub fn parse(note: &'a str) -> Result<Self, NoteError> {
        if note.len() > MAX_BYTES {
            return Err(NoteError::TooLong(note.len()));
        }
        if note.contains(|c: char| c < ' ' && c != '\n') {
            return Err(NoteError::Malformed);
        }
        let (text, lines) = note.rsplit_once("\n\n").ok_or(NoteError::Malformed)?;
        let text = note.get(..=text.len()).ok_or(NoteError::Malformed)?;
        let lines = lines.strip_suffix('\n').filter(|lines| !lines.is_empty()).ok_or(NoteError::Malformed)?;
        if lines.split('\n').count() > MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        let signatures = lines.split('\n').map(signature).collect::<Option<_>>().ok_or(NoteError::Malformed)?;
        Ok(Self { text, signatures })
    }

    /// The text, if at least one of the keys signed it. A known key's signature that does not match is an error;
    /// signatures by unknown keys are ignored.
    pub fn verify(&self, keys: &[NoteKey]) -> Result<&'a str, NoteError> {
        let mut verified = false;
        for signature in &self.signatures {
            let known = keys.iter().find(|key| key.name == signature.name && key.id() == signature.key_id);
            let Some(key) = known else { continue };
            let check = UnparsedPublicKey::new(&ED25519, key.public).verify(self.text.as_bytes(), &signature.bytes);
            if check.is_err() {
                return Err(NoteError::BadSignature(signature.signer()));
            }
            verified = true;
        }
        if verified {
            return Ok(self.text);
        }
        let signers: Vec<String> = self.signatures.iter().map(Signature::signer).collect();
        Err(NoteError::UnknownKeys(signers.join(", ")))
    }
}

impl Signature<'_> {
    fn signer(&self) -> String {
        format!("{}+{}", self.name, hex::encode(self.key_id))
    }
}

fn signature(line: &str) -> Option<Signature<'_>> {
    let (name, encoded) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let bytes = STANDARD.decode(encoded).ok().filter(|_| is_name(name))?;
    let (key_id, bytes) = bytes.split_first_chunk::<4>().filter(|(_, rest)| !rest.is_empty())?;
    Some(Signature { name, key_id: *key_id, bytes: bytes.to_vec() })
}

/// Assembles a note from a text and a key's signature over it. The text ends with a newline.
pub fn signed(text: &str, key: &NoteKey, signature: &[u8]) -> String {
    let mut note = format!("{text}\n");
    let bytes = [&key.id()[..], signature].concat();
    // Writing to a string does not fail.
    let _ = writeln!(note, "\u{2014} {} {}", key.name, STANDARD.encode(bytes));
    note
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    fn pair(name: &str, seed: u8) -> (NoteKey, Ed25519KeyPair) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        (NoteKey::new(name, pair.public_key().as_ref().try_into().unwrap()).unwrap(), pair)
    }

    fn sign(text: &str, (key, pair): &(NoteKey, Ed25519KeyPair)) -> String {
        signed(text, key, pair.sign(text.as_bytes()).as_ref())
    }

    /// The key and the note in the documentation of Go's package for notes.
    #[test]
    fn verifies_the_note_of_another_implementation() {
        let typed = STANDARD.decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").unwrap();
        let key = NoteKey::new("PeterNeumann", typed[1..].try_into().unwrap()).unwrap();
        assert_eq!(key.to_vkey(), "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
        let note = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
            \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        let parsed = Note::parse(note).unwrap();
        assert!(parsed.verify(std::slice::from_ref(&key)).unwrap().ends_with("problem is.\n"));
        let changed = note.replace("answer", "anSwer");
        assert_eq!(
            Note::parse(&changed).unwrap().verify(&[key]),
            Err(NoteError::BadSignature("PeterNeumann+c74f20a3".to_owned()))
        );
    }

    #[test]
    fn one_known_signature_suffices_and_a_bad_one_spoils_it() {
        let (ours, witness, other_name) = (pair("example.com/tlog", 1), pair("witness", 2), pair("else", 1));
        let text = "example.com/tlog\n1\nroot\n";
        let line = sign(text, &witness).rsplit_once("\n\n").unwrap().1.to_owned();
        let both = sign(text, &ours) + &line;
        let note = Note::parse(&both).unwrap();
        assert_eq!(note.verify(std::slice::from_ref(&ours.0)), Ok(text));
        assert_eq!(note.verify(&[pair("x", 9).0, witness.0.clone()]), Ok(text));
        assert!(matches!(note.verify(&[other_name.0]), Err(NoteError::UnknownKeys(_))), "same key, other name");
        assert!(matches!(note.verify(&[]), Err(NoteError::UnknownKeys(_))));
        let spoiled = sign("other\n", &ours).replace("other\n", text) + &line;
        let spoiled = Note::parse(&spoiled).unwrap();
        assert_eq!(spoiled.verify(std::slice::from_ref(&witness.0)), Ok(text));
        assert!(matches!(spoiled.verify(&[witness.0, ours.0]), Err(NoteError::BadSignature(_))));
    }

    #[test]
    fn what_is_no_note_is_refused() {
        let note = sign("text\n", &pair("name", 1));
        for bad in [
            String::new(),
            "text\n".to_owned(),
            "text\n\n".to_owned(),
            note.trim_end().to_owned(),
            note.replace('\u{2014}', "-"),
            note.replace("name ", "na+me "),
            note.replace("name ", "na\u{2003}me "),
            note.replace("name ", "name  "),
            note.replace("text", "te\rxt"),
            note.clone() + "\n",
            "text\n\n\u{2014} name AAAA\n".to_owned(),
        ] {
            assert_eq!(Note::parse(&bad), Err(NoteError::Malformed), "{bad:?}");
        }
        let line = note.rsplit_once("\n\n").unwrap().1.repeat(MAX_SIGNATURES);
        assert_eq!(Note::parse(&(note + &line)), Err(NoteError::TooManySignatures));
        assert!(NoteKey::new("a b", [0; 32]).is_err() && NoteKey::new("", [0; 32]).is_err());
    }

    proptest! {
        #[test]
        fn any_text_survives(lines in prop::collection::vec("[a-z\u{2014} é]{0,9}", 1..5)) {
            let key = pair("k", 3);
            let text = lines.join("\n") + "\n";
            let note = sign(&text, &key);
            prop_assert_eq!(Note::parse(&note).unwrap().verify(&[key.0]), Ok(text.as_str()));
        }
    }
}
