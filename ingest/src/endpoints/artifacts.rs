//! `/v1/artifacts`, and those of a sandbox.

pub(crate) mod delete;
pub(crate) mod download;
pub(crate) mod download_url;
pub(crate) mod get;
pub(crate) mod of_sandbox;
pub(crate) mod tombstone;

use database::GenericClient;
use schemas::Timestamp;
use schemas::api::artifact::Artifact;
use schemas::id::ArtifactId;

use crate::auth::Caller;
use crate::db::collector;
use crate::error::ApiError;

/// The artifact, if the caller may see it; deleted ones are remembered.
async fn find(client: &impl GenericClient, caller: &Caller, id: &ArtifactId) -> Result<Artifact, ApiError> {
    let found = collector::find_artifact(client, caller.org(), id).await?;
    found.filter(|artifact| caller.may_see(&artifact.project_id)).ok_or_else(|| ApiError::not_found("artifact"))
}

/// The same, but only while its bytes are kept.
async fn find_kept(client: &impl GenericClient, caller: &Caller, id: &ArtifactId) -> Result<Artifact, ApiError> {
    let artifact = find(client, caller, id).await?;
    let expired = artifact.retention_expires_at.is_some_and(|at| at <= Timestamp::now());
    if artifact.deleted_at.is_some() || expired {
        return Err(ApiError::not_found("artifact"));
    }
    Ok(artifact)
}
