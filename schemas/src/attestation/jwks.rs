//! Public keys as a JWK set (RFC 7517). CrowNest's own keys are Ed25519 (RFC 8037).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JwkSet {
    pub keys: Vec<Jwk>,
}

/// One public key. The members of other key types are not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Jwk {
    /// `OKP`
    pub kty: String,
    /// `Ed25519`
    #[serde(default)]
    pub crv: String,
    /// The key in base64url.
    #[serde(default)]
    pub x: String,
    /// Thumbprint of the key (RFC 7638).
    #[serde(default)]
    pub kid: String,
    /// `EdDSA`
    #[serde(default)]
    pub alg: String,
    /// `sig`
    #[serde(default, rename = "use")]
    pub used_for: String,
}

impl Jwk {
    pub fn ed25519(key: &[u8; 32]) -> Self {
        let x = URL_SAFE_NO_PAD.encode(key);
        let thumbprint = Sha256::digest(format!("{{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"{x}\"}}"));
        Self {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x,
            kid: URL_SAFE_NO_PAD.encode(thumbprint),
            alg: "EdDSA".to_owned(),
            used_for: "sig".to_owned(),
        }
    }
}

impl JwkSet {
    /// The Ed25519 keys of the set; `None` if one of them is malformed.
    pub fn ed25519_keys(&self) -> Option<Vec<[u8; 32]>> {
        let keys = self.keys.iter().filter(|key| key.kty == "OKP" && key.crv == "Ed25519");
        keys.map(|key| URL_SAFE_NO_PAD.decode(&key.x).ok()?.try_into().ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key and thumbprint of RFC 8037 appendix A.
    #[test]
    fn the_key_of_rfc_8037_has_its_thumbprint() {
        let key = hex::decode("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a").unwrap();
        let key: [u8; 32] = key.try_into().unwrap();
        let jwk = Jwk::ed25519(&key);
        assert_eq!(jwk.x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(jwk.kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        let rsa = r#"{"kty":"RSA","n":"x","e":"AQAB"}"#;
        let set = format!("{{\"keys\":[{rsa},{}]}}", serde_json::to_string(&jwk).unwrap());
        let set: JwkSet = serde_json::from_str(&set).unwrap();
        assert_eq!(set.ed25519_keys().unwrap(), [key]);
        let bad = JwkSet { keys: vec![Jwk { x: "AA".to_owned(), ..jwk }] };
        assert!(bad.ed25519_keys().is_none());
    }
}
