//! The keys that may sign the log: Ed25519 keys of a JWK set (RFC 7517, RFC 8037), from a file or from the API.

use std::path::Path;

use schemas::attestation::jwks::JwkSet;

use crate::client::Client;
use crate::failure::Failure;

#[derive(Debug)]
pub(crate) struct PublicKeys(pub Vec<[u8; 32]>);

impl PublicKeys {
    pub(crate) async fn find(file: Option<&Path>, client: &Client) -> Result<Self, Failure> {
        let text = match file {
            Some(path) => std::fs::read(path).map_err(|error| Failure::file("read", path, &error))?,
            None => client.public_keys().await?.to_vec(),
        };
        Self::parse(&text).ok_or_else(|| {
            Failure::new("invalid_keys", "expected a JWK set with an Ed25519 key: {\"keys\":[{\"kty\":\"OKP\",…}]}")
                .hint("An installation publishes its keys at /.well-known/jwks.json, from the first seal on.")
        })
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let set: JwkSet = serde_json::from_slice(text).ok()?;
        set.ed25519_keys().filter(|keys| !keys.is_empty()).map(Self)
    }
}
