//! Fingerprints, by which two requests are the same request.

use infra::keyring::Keyring;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::http::error::ApiError;

/// The digest of the path's parameters and the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fingerprint(pub(super) [u8; 32]);

/// The fingerprint to store, and those that earlier keys give the same request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fingerprints {
    pub(super) current: Fingerprint,
    earlier: Vec<Fingerprint>,
}

impl Fingerprint {
    pub(crate) fn of(request: &impl Serialize) -> Result<Self, ApiError> {
        Ok(Self(Sha256::digest(content(request)?).into()))
    }
}

impl Fingerprints {
    /// Digests a request with secrets under the keyring's keys: a reader of the database cannot try out guesses.
    pub(crate) fn keyed(request: &impl Serialize, keyring: &Keyring) -> Result<Self, ApiError> {
        let mut digests = keyring.digests(&content(request)?).into_iter().map(Fingerprint);
        let current = digests.next().ok_or_else(|| ApiError::internal(anyhow::anyhow!("a keyring without keys")))?;
        Ok(Self { current, earlier: digests.collect() })
    }

    pub(super) fn include(&self, stored: &[u8]) -> bool {
        std::iter::once(&self.current).chain(&self.earlier).any(|fingerprint| fingerprint.0 == stored)
    }
}

impl From<Fingerprint> for Fingerprints {
    fn from(current: Fingerprint) -> Self {
        Self { current, earlier: Vec::new() }
    }
}

fn content(request: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    let value = serde_json::to_value(request).map_err(ApiError::internal)?;
    // Canonical JSON has no fractions; a body that holds one is compared as it was read.
    let bytes = schemas::canonical::to_vec(&value).or_else(|_| serde_json::to_vec(&value));
    bytes.map_err(ApiError::internal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn the_fingerprint_is_about_content_not_about_spelling() {
        let of = |text: &str| Fingerprint::of(&serde_json::from_str::<Value>(text).unwrap()).unwrap();
        assert_eq!(of(r#"{"a":1,"b":[2]}"#), of(r#"{ "b": [2], "a": 1 }"#));
        assert_eq!(of(r#"{"a":1.5,"b":2}"#), of(r#"{"b":2,"a":1.5}"#));
        assert_ne!(of(r#"{"a":1}"#), of(r#"{"a":"1"}"#));
        assert_ne!(
            Fingerprint::of(&json!(["wsr_1", null])).unwrap(),
            Fingerprint::of(&json!(["wsr_2", null])).unwrap()
        );
    }
}
