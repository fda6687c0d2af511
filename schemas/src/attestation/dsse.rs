//! DSSE envelopes, version 1 (github.com/secure-systems-lab/dsse): a payload with its type, and signatures over both.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::key::PublicKey;

/// Payload type of an in-toto statement.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// CrowNest writes no longer envelope, and reads none.
pub const MAX_ENVELOPE_BYTES: usize = 64 << 20;
/// An envelope with more signatures is refused: each would cost a verification.
pub const MAX_SIGNATURES: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// Base64.
    pub payload: String,
    pub payload_type: String,
    pub signatures: Vec<Signature>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Signature {
    /// Id of the key to try; not signed itself.
    #[serde(default)]
    pub keyid: String,
    /// Base64.
    pub sig: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DsseError {
    #[error("expected a DSSE envelope (payload, payloadType, signatures): {0}")]
    Malformed(String),
    #[error("expected an envelope of at most {MAX_ENVELOPE_BYTES} bytes, got {0}")]
    TooLarge(usize),
    #[error("expected payloadType `{PAYLOAD_TYPE}`, got `{0}`")]
    PayloadType(String),
    #[error("expected 1 to {MAX_SIGNATURES} signatures, got {0}")]
    Signatures(usize),
    #[error("none of the known keys signed the envelope; its signatures name the keys {0}")]
    UnknownKeys(String),
    #[error("the signature of the key {0} does not match the payload")]
    BadSignature(String),
}

/// The signed bytes: the pre-authentication encoding of type and payload.
pub fn signed_bytes(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

impl Envelope {
    /// Assembles an envelope; `signature` is over [`signed_bytes`] of [`PAYLOAD_TYPE`] and the payload.
    pub fn new(payload: &[u8], key: &PublicKey, signature: &[u8]) -> Self {
        Self {
            payload: STANDARD.encode(payload),
            payload_type: PAYLOAD_TYPE.to_owned(),
            signatures: vec![Signature { keyid: key.id(), sig: STANDARD.encode(signature) }],
        }
    }

    pub fn parse(bytes: &[u8]) -> Result<Self, DsseError> {
        if bytes.len() > MAX_ENVELOPE_BYTES {
            return Err(DsseError::TooLarge(bytes.len()));
        }
        serde_json::from_slice(bytes).map_err(|error| DsseError::Malformed(error.to_string()))
    }

    /// The payload, not verified.
    pub fn payload(&self) -> Result<Vec<u8>, DsseError> {
        decode(&self.payload)
    }

    /// The payload and the key that signed it. One good signature is enough; a bad one by a known key is an error.
    pub fn verify<'k>(&self, keys: &'k [PublicKey]) -> Result<(Vec<u8>, &'k PublicKey), DsseError> {
        if self.payload_type != PAYLOAD_TYPE {
            return Err(DsseError::PayloadType(self.payload_type.chars().take(100).collect()));
        }
        if self.signatures.is_empty() || self.signatures.len() > MAX_SIGNATURES {
            return Err(DsseError::Signatures(self.signatures.len()));
        }
        let payload = self.payload()?;
        let signed = signed_bytes(&self.payload_type, &payload);
        let mut signer = None;
        for signature in &self.signatures {
            let Some(key) = keys.iter().find(|key| key.id() == signature.keyid) else { continue };
            if !key.verifies(&signed, &decode(&signature.sig)?) {
                return Err(DsseError::BadSignature(key.id()));
            }
            signer = signer.or(Some(key));
        }
        let named = |signature: &Signature| signature.keyid.chars().take(64).collect::<String>();
        let signer = signer
            .ok_or_else(|| DsseError::UnknownKeys(self.signatures.iter().map(named).collect::<Vec<_>>().join(", ")))?;
        Ok((payload, signer))
    }
}

fn decode(text: &str) -> Result<Vec<u8>, DsseError> {
    STANDARD.decode(text).map_err(|error| DsseError::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    use super::*;

    fn pair(seed: u8) -> (Ed25519KeyPair, PublicKey) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let public = PublicKey::new(pair.public_key().as_ref().try_into().unwrap());
        (pair, public)
    }

    fn signed(payload: &[u8], seed: u8) -> Envelope {
        let (pair, public) = pair(seed);
        Envelope::new(payload, &public, pair.sign(&signed_bytes(PAYLOAD_TYPE, payload)).as_ref())
    }

    #[test]
    fn the_encoding_is_that_of_the_specification() {
        let encoded = signed_bytes("http://example.com/HelloWorld", b"hello world");
        assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn what_was_changed_is_found() {
        let keys = [pair(1).1, pair(2).1];
        let good = signed(b"{}", 2);
        assert_eq!(good.verify(&keys), Ok((b"{}".to_vec(), &keys[1])));
        let check = |change: &dyn Fn(&mut Envelope), expected: &str| {
            let mut envelope = good.clone();
            change(&mut envelope);
            let error = envelope.verify(&keys).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(&|envelope| envelope.payload = STANDARD.encode("[]"), "does not match");
        check(&|envelope| envelope.payload_type = "text/plain".into(), "expected payloadType");
        check(&|envelope| envelope.payload = "?".into(), "expected a DSSE envelope");
        check(&|envelope| envelope.signatures.clear(), "got 0");
        check(&|envelope| envelope.signatures = vec![envelope.signatures[0].clone(); 17], "got 17");
        check(&|envelope| envelope.signatures[0].keyid = keys[0].id(), "does not match");
        check(&|envelope| envelope.signatures[0].keyid = "other".into(), "none of the known keys");
        check(&|envelope| envelope.signatures[0].sig = STANDARD.encode([0; 64]), "does not match");
        // Signatures by unknown keys are ignored.
        let mut both = good.clone();
        both.signatures.insert(0, signed(b"{}", 3).signatures[0].clone());
        assert_eq!(both.verify(&keys).unwrap().1, &keys[1]);
    }

    #[test]
    fn what_is_no_envelope_is_refused() {
        for text in ["", "[]", "{}", r#"{"payload":"","payload":"","payloadType":"","signatures":[]}"#] {
            assert!(Envelope::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
