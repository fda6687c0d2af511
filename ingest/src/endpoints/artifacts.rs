//! `/v1/artifacts`, and those of a sandbox.

pub(super) mod delete;
pub(super) mod download;
pub(super) mod download_url;
pub(super) mod get;
pub(super) mod of_sandbox;
pub(super) mod tombstone;

use database::GenericClient;
use schemas::Timestamp;
use schemas::api::artifact::Artifact;
use schemas::id::ArtifactId;

use crate::auth::Caller;
use crate::db::collector;
use crate::http::error::ApiError;

/// Finds an artifact, if the caller may see it; deleted artifacts are remembered.
async fn find(client: &impl GenericClient, caller: &Caller, id: &ArtifactId) -> Result<Artifact, ApiError> {
    let found = collector::find_artifact(client, caller.org(), id).await?;
    found.filter(|artifact| caller.may_see(&artifact.project_id)).ok_or_else(|| ApiError::not_found("artifact"))
}

/// Finds an artifact whose bytes are kept.
async fn find_kept(client: &impl GenericClient, caller: &Caller, id: &ArtifactId) -> Result<Artifact, ApiError> {
    let artifact = find(client, caller, id).await?;
    let expired = artifact.retention_expires_at.is_some_and(|at| at <= Timestamp::now());
    if artifact.deleted_at.is_some() || expired {
        return Err(ApiError::not_found("artifact"));
    }
    Ok(artifact)
}
