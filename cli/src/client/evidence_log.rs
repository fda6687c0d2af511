//! Requests about signatures: statements, the evidence log, public keys. Objects of the log are bytes, of a size that is
//! known before.

use bytes::{Bytes, BytesMut};
use reqwest::Method;
use schemas::api::attestations::AttestationList;
use schemas::id::RunId;
use schemas::transparency::inclusion::Inclusion;
use schemas::transparency::tile::Resource;

use super::answer;
use super::retry::retrying;
use super::runs::member;
use super::transport::{Call, Client, REQUEST_TIMEOUT};
use crate::failure::Failure;

/// A JWK set has a few keys of some hundred bytes.
const MAX_KEYS_BYTES: usize = 256 * 1024;

impl Client {
    /// `not_found` until it is in the log.
    pub(crate) async fn inclusion(&self, id: &RunId) -> Result<Inclusion, Failure> {
        let answer = self.call(Call::get(format!("v1/workspace-runs/{id}/evidence/inclusion"))).await?;
        let inclusion = serde_json::from_value(member(answer, "inclusion")?);
        inclusion.map_err(|error| Failure::invalid_answer(format!("expected a proof of inclusion: {error}")))
    }

    pub(crate) async fn attestations(&self, id: &RunId) -> Result<AttestationList, Failure> {
        let answer = self.call(Call::get(format!("v1/workspace-runs/{id}/attestations"))).await?;
        let list = serde_json::from_value(answer);
        list.map_err(|error| Failure::invalid_answer(format!("expected signed statements: {error}")))
    }

    pub(crate) async fn log_resource(&self, resource: Resource) -> Result<Bytes, Failure> {
        self.bytes(&format!("tlog/{resource}"), resource.max_bytes()).await
    }

    /// A JWK set.
    pub(crate) async fn public_keys(&self) -> Result<Bytes, Failure> {
        self.bytes(".well-known/jwks.json", MAX_KEYS_BYTES).await
    }

    async fn bytes(&self, path: &str, max_bytes: usize) -> Result<Bytes, Failure> {
        retrying(|| async {
            let request = self.request(Method::GET, self.url(path)?, None).timeout(REQUEST_TIMEOUT);
            let mut response = answer::successful(request.send().await.map_err(answer::network)?).await?;
            let mut body = BytesMut::new();
            while let Some(piece) = response.chunk().await.map_err(answer::network)? {
                if body.len() + piece.len() > max_bytes {
                    return Err(Failure::invalid_answer(format!("`{path}` has more than {max_bytes} bytes")));
                }
                body.extend_from_slice(&piece);
            }
            Ok(body.freeze())
        })
        .await
    }
}
