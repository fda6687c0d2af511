//! The API keys themselves: made once, shown once, and afterwards known only by their SHA-256.

use infra::config::Secret;
use sha2::{Digest, Sha256};

const PREFIX: &str = "cn_live_";
const RANDOM_LEN: usize = 43;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Length of the stored prefix, which is shown so that people tell keys apart.
const SHOWN_PREFIX_LEN: usize = 12;
/// A longer text is not a key of any version.
const MAX_LEN: usize = 256;

/// A new key, and the parts of it that are stored.
#[derive(Debug)]
pub(crate) struct FullKey {
    pub secret: Secret,
    pub prefix: String,
    pub last4: String,
    pub sha256: [u8; 32],
}

/// A key with 256 bits of randomness: 43 characters of an alphabet of 62.
pub(crate) fn generate() -> FullKey {
    let mut text = PREFIX.to_owned();
    while text.len() < PREFIX.len() + RANDOM_LEN {
        let mut random = [0u8; 64];
        // Without entropy no secret of this process can be trusted: stopping is the only safe answer.
        getrandom::fill(&mut random).expect("the operating system provides randomness");
        // Bytes beyond a multiple of 62 would make some characters likelier.
        let usable = random.iter().filter(|byte| **byte < 248).map(|byte| char::from(ALPHABET[usize::from(byte % 62)]));
        text.extend(usable.take(PREFIX.len() + RANDOM_LEN - text.len()));
    }
    FullKey {
        prefix: text[..SHOWN_PREFIX_LEN].to_owned(),
        last4: text[text.len() - 4..].to_owned(),
        sha256: digest(&text),
        secret: Secret::new(text),
    }
}

/// The digest by which a key is looked up; a key is random enough to need no salt.
pub(super) fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// Says whether a text can be a key, so that the database is asked.
pub(super) fn is_plausible(key: &str) -> bool {
    (1..=MAX_LEN).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_has_the_announced_form() {
        let key = generate();
        let text = key.secret.reveal();
        assert_eq!(text.len(), 51);
        assert!(text.starts_with("cn_live_") && text[8..].bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert!(text.starts_with(&key.prefix) && text.ends_with(&key.last4) && key.prefix.len() == 12);
        assert!(is_plausible(text));
        assert_ne!(text, generate().secret.reveal());
        assert!(!format!("{key:?}").contains(text));
    }

    #[test]
    fn implausible_keys_never_reach_the_database() {
        for text in ["", "a b", "ä", &"x".repeat(257)] {
            assert!(!is_plausible(text), "{text:?}");
        }
    }
}
