//! Ed25519 public keys (RFC 8032): verification and key ids.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};

use super::jwks::{Jwk, JwkSet};

pub const PUBLIC_KEY_BYTES: usize = 32;
pub const SIGNATURE_BYTES: usize = 64;

/// `SubjectPublicKeyInfo` (RFC 8410) up to the key, which is the rest.
const SPKI_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; PUBLIC_KEY_BYTES]);

impl PublicKey {
    pub fn new(bytes: [u8; PUBLIC_KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The Ed25519 keys of a set; `None` if one of them is malformed.
    pub fn all(set: &JwkSet) -> Option<Vec<Self>> {
        Some(set.ed25519_keys()?.into_iter().map(Self).collect())
    }

    pub fn bytes(&self) -> &[u8; PUBLIC_KEY_BYTES] {
        &self.0
    }

    /// True if this key signed exactly this message.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }

    /// The thumbprint of the key as a JWK (RFC 7638): `kid` in the key set, `keyid` in signatures.
    pub fn id(&self) -> String {
        Jwk::ed25519(&self.0).kid
    }

    /// Reads `-----BEGIN PUBLIC KEY-----`, as `openssl pkey -pubout` writes it.
    pub fn from_pem(text: &str) -> Option<Self> {
        let body = text.trim().strip_prefix("-----BEGIN PUBLIC KEY-----")?.strip_suffix("-----END PUBLIC KEY-----")?;
        let der = STANDARD.decode(body.split_ascii_whitespace().collect::<String>()).ok()?;
        der.strip_prefix(&SPKI_HEAD)?.try_into().ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifies_the_signature_of_the_standard() {
        // RFC 8032, section 7.1, test 1: the empty message, signed with the key of RFC 8037, appendix A.
        let key = PublicKey::from_pem(
            "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n",
        );
        let key = key.unwrap();
        let signature = hex::decode(
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        );
        let signature = signature.unwrap();
        assert!(key.verifies(b"", &signature));
        assert!(!key.verifies(b"x", &signature) && !key.verifies(b"", &signature[1..]) && !key.verifies(b"", b""));
        assert_eq!(key.id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn what_is_no_public_key_is_refused() {
        for text in
            ["", "key", "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----", "-----BEGIN PRIVATE KEY-----"]
        {
            assert_eq!(PublicKey::from_pem(text), None, "{text}");
        }
    }
}
