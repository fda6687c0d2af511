//! Authenticated encryption with keys from a file, which can be rotated: the first key encrypts, all keys decrypt. The
//! caller chooses the plaintext and its context.

use std::fmt;
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use clap::Args;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::config::Secret;

const KEY_BYTES: usize = 32;
/// Long enough for a random nonce in every message.
const NONCE_BYTES: usize = 24;
const VERSION: u8 = 1;
const MAX_ID_BYTES: usize = 64;

#[derive(Debug, Clone, Args)]
pub struct KeyringConfig {
    /// File with the keys that the environment variables of runs are encrypted with: one a line, an id and 64
    /// hexadecimal digits. The first one encrypts, all decrypt [default: none, and runs cannot have variables]
    #[arg(long, env = "CROWNEST_ENV_KEY_FILE", value_name = "FILE")]
    pub env_key_file: Option<PathBuf>,
}

impl KeyringConfig {
    pub fn open(&self) -> Result<Option<Keyring>, KeyringError> {
        self.env_key_file.as_deref().map(Keyring::read).transpose()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    #[error("--env-key-file: cannot read {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("--env-key-file: {path}, line {line}: expected an id, a space and 64 hexadecimal digits (not shown)")]
    Line { path: PathBuf, line: usize },
    #[error("--env-key-file: {path}, line {line}: the id occurs twice")]
    Twice { path: PathBuf, line: usize },
    #[error("--env-key-file: {path} has no key")]
    Empty { path: PathBuf },
}

/// Reason why a text cannot be decrypted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("encrypted with the key `{id}`, which is not in the key file")]
    UnknownKey { id: String },
    #[error("changed, or moved here from elsewhere, or encrypted with a different key of the name `{id}`")]
    Rejected { id: String },
    #[error("not in a known form")]
    Malformed,
}

/// Keys of a file; never empty.
pub struct Keyring(Vec<Key>);

struct Key {
    id: String,
    cipher: XChaCha20Poly1305,
    /// Key for digests, so that one key never serves two purposes.
    digesting: [u8; KEY_BYTES],
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}

/// Makes a line for a key file, with a new key.
pub fn generate() -> Result<Secret, getrandom::Error> {
    let (mut id, mut key) = ([0; 4], [0; KEY_BYTES]);
    getrandom::fill(&mut id)?;
    getrandom::fill(&mut key)?;
    Ok(Secret::new(format!("key-{} {}\n", hex::encode(id), hex::encode(key))))
}

impl Keyring {
    pub fn read(path: &Path) -> Result<Self, KeyringError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| KeyringError::Read { path: path.to_owned(), source })?;
        let mut keys: Vec<Key> = Vec::new();
        let lines = text.lines().map(str::trim).enumerate();
        for (index, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let at = |path: &Path| (path.to_owned(), index + 1);
            let key = Key::parse(line).ok_or_else(|| {
                let (path, line) = at(path);
                KeyringError::Line { path, line }
            })?;
            if keys.iter().any(|known| known.id == key.id) {
                let (path, line) = at(path);
                return Err(KeyringError::Twice { path, line });
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(KeyringError::Empty { path: path.to_owned() });
        }
        Ok(Self(keys))
    }

    /// Encrypts with the first key. The result opens only with the same `context`.
    pub fn seal(&self, plain: &[u8], context: &[u8]) -> Result<Vec<u8>, getrandom::Error> {
        let key = &self.0[0];
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce)?;
        // version, length of the id, id, nonce, ciphertext with its tag
        let mut sealed = header(&key.id);
        let payload = Payload { msg: plain, aad: &associated(&sealed, context) };
        // Only a plaintext of more than 256 GiB fails.
        let encrypted = key.cipher.encrypt(&XNonce::from(nonce), payload).unwrap_or_else(|_| unreachable!());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&encrypted);
        Ok(sealed)
    }

    pub fn open(&self, sealed: &[u8], context: &[u8]) -> Result<Vec<u8>, OpenError> {
        let (&[version, length], rest) = sealed.split_first_chunk().ok_or(OpenError::Malformed)?;
        let (id, rest) = rest.split_at_checked(length.into()).ok_or(OpenError::Malformed)?;
        let (nonce, encrypted) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(OpenError::Malformed)?;
        let id = std::str::from_utf8(id).ok().filter(|_| version == VERSION).ok_or(OpenError::Malformed)?;
        let key = self.0.iter().find(|key| key.id == id);
        let key = key.ok_or_else(|| OpenError::UnknownKey { id: id.to_owned() })?;
        let payload = Payload { msg: encrypted, aad: &associated(&header(id), context) };
        let opened = key.cipher.decrypt(&XNonce::from(*nonce), payload);
        opened.map_err(|_| OpenError::Rejected { id: id.to_owned() })
    }

    /// Digests by the first key, then by each older one. Without the key, nobody can check guesses against them.
    pub fn digests(&self, text: &[u8]) -> Vec<[u8; 32]> {
        self.0.iter().map(|key| hmac(&key.digesting, text)).collect()
    }
}

impl Key {
    fn parse(line: &str) -> Option<Self> {
        let (id, digits) = line.split_once(char::is_whitespace)?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if !(1..=MAX_ID_BYTES).contains(&id.len()) || !id.bytes().all(allowed) {
            return None;
        }
        let mut key = [0; KEY_BYTES];
        hex::decode_to_slice(digits.trim_start(), &mut key).ok()?;
        Some(Self {
            id: id.to_owned(),
            cipher: XChaCha20Poly1305::new(&hmac(&key, b"crownest keyring: encryption").into()),
            digesting: hmac(&key, b"crownest keyring: digests"),
        })
    }
}

fn header(id: &str) -> Vec<u8> {
    let mut header = vec![VERSION, u8::try_from(id.len()).unwrap_or(u8::MAX)];
    header.extend_from_slice(id.as_bytes());
    header
}

fn associated(header: &[u8], context: &[u8]) -> Vec<u8> {
    [header, context].concat()
}

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    // HMAC takes keys of every length.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| unreachable!());
    mac.update(text);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(text: &str) -> Result<Keyring, KeyringError> {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), text).expect("it can be written");
        Keyring::read(file.path())
    }

    fn line(id: &str, digit: &str) -> String {
        format!("{id} {}\n", digit.repeat(64))
    }

    #[test]
    fn opens_where_it_belongs_and_unchanged_only() {
        let keys = keyring(&line("a", "1")).unwrap();
        let sealed = keys.seal(b"secret", b"run 1").unwrap();
        assert_eq!(keys.open(&sealed, b"run 1").unwrap(), b"secret");
        assert_eq!(keys.open(&sealed, b"run 2"), Err(OpenError::Rejected { id: "a".to_owned() }));
        assert_ne!(keys.seal(b"secret", b"run 1").unwrap(), sealed, "the nonce is random");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(keys.open(&changed, b"run 1").is_err(), "byte {at}");
            assert!(keys.open(&sealed[..at], b"run 1").is_err(), "cut at {at}");
        }
    }

    #[test]
    fn keys_rotate() {
        let old = keyring(&line("a", "1")).unwrap();
        let both = keyring(&format!("# newest first\n\n{}{}", line("b", "2"), line("a", "1"))).unwrap();
        let new = keyring(&line("b", "2")).unwrap();
        let (before, after) = (old.seal(b"secret", b"").unwrap(), both.seal(b"secret", b"").unwrap());
        assert_eq!(both.open(&before, b"").unwrap(), b"secret");
        assert_eq!(new.open(&after, b"").unwrap(), b"secret");
        assert_eq!(new.open(&before, b""), Err(OpenError::UnknownKey { id: "a".to_owned() }));
        // A different key of the same name.
        let impostor = keyring(&line("a", "3")).unwrap();
        assert_eq!(impostor.open(&before, b""), Err(OpenError::Rejected { id: "a".to_owned() }));
        assert_eq!(both.digests(b"x"), [new.digests(b"x"), old.digests(b"x")].concat());
    }

    #[test]
    fn key_files_are_checked_and_not_shown() {
        assert!(keyring(generate().unwrap().reveal()).is_ok());
        let secret = "ab".repeat(31);
        for text in [
            "",
            "# only a comment",
            &secret,
            &format!("a {secret}"),
            &format!("a {}", "xy".repeat(32)),
            &format!("a/b {}", "ab".repeat(32)),
            &(line("a", "1") + &line("a", "2")),
        ] {
            let error = keyring(text).unwrap_err().to_string();
            assert!(!error.contains(&secret) && !error.contains("1111"), "{error}");
        }
        assert_eq!(format!("{:?}", keyring(&line("a", "1")).unwrap()), r#"["a"]"#);
    }
}
