//! Who may sign the log: Ed25519 keys of a JWK set (RFC 7517, RFC 8037), from a file or from the API.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::client::Client;
use crate::failure::Failure;

#[derive(Debug)]
pub(crate) struct PublicKeys(pub Vec<[u8; 32]>);

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    #[serde(default)]
    kty: String,
    #[serde(default)]
    crv: String,
    #[serde(default)]
    x: String,
}

impl PublicKeys {
    pub(crate) async fn find(file: Option<&Path>, client: &Client) -> Result<Self, Failure> {
        let text = match file {
            Some(path) => std::fs::read(path).map_err(|error| Failure::file("read", path, &error))?,
            None => client.public_keys().await?.to_vec(),
        };
        Self::parse(&text).ok_or_else(|| {
            Failure::new("invalid_keys", "expected a JWK set with an Ed25519 key: {\"keys\":[{\"kty\":\"OKP\",…}]}")
        })
    }

    /// Keys of other kinds are nothing to us.
    fn parse(text: &[u8]) -> Option<Self> {
        let set: JwkSet = serde_json::from_slice(text).ok()?;
        let ed25519 = set.keys.iter().filter(|key| key.kty == "OKP" && key.crv == "Ed25519");
        let keys: Option<Vec<_>> = ed25519.map(|key| URL_SAFE_NO_PAD.decode(&key.x).ok()?.try_into().ok()).collect();
        keys.filter(|keys| !keys.is_empty()).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_key_of_rfc_8037() {
        let set = br#"{"keys":[{"kty":"RSA","n":"x"},
            {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        let keys = PublicKeys::parse(set).unwrap().0;
        assert_eq!(hex::encode(keys[0]), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        for bad in ["{\"keys\":[]}", "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"}]}", "[]", ""] {
            assert!(PublicKeys::parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
