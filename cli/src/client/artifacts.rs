//! Requests about artifacts, except for their bytes.

use schemas::id::ArtifactId;
use serde_json::Value;

use super::runs::member;
use super::transport::{Call, Client};
use crate::failure::Failure;

impl Client {
    pub(crate) async fn artifact(&self, id: &ArtifactId) -> Result<Value, Failure> {
        member(self.call(Call::get(format!("v1/artifacts/{id}"))).await?, "artifact")
    }
}
