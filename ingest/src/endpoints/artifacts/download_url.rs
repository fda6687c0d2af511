//! `POST /v1/artifacts/{id}/download-url`: the URL of the bytes. Downloads go through this service, with the API key.

use std::collections::BTreeMap;

use axum::Json;
use schemas::api::artifact::DownloadUrl;
use schemas::id::ArtifactId;
use schemas::scope::Scope;

use crate::http::error::ApiError;
use crate::http::path_id::PathId;
use crate::http::public_url::PublicUrl;
use crate::operation::parameters::ARTIFACT_ID;
use crate::operation::{Call, Operation, examples, json};

pub(crate) const OPERATION: Operation =
    Operation::post("/v1/artifacts/{id}/download-url", "createDownloadUrl", "Ask where to download an artifact")
        .scope(Scope::ArtifactRead)
        .takes(&[ARTIFACT_ID])
        .answers(200, json::<DownloadUrl>(examples::download_url));

pub(crate) async fn handle(
    call: Call,
    (PathId(id), public_url): (PathId<ArtifactId>, PublicUrl),
) -> Result<Json<DownloadUrl>, ApiError> {
    let artifact = super::find_kept(&call.app.pool.get().await?, &call.caller, &id).await?;
    Ok(Json(DownloadUrl {
        auth_mode: "api_key".to_owned(),
        headers: BTreeMap::new(),
        method: "GET".to_owned(),
        url: public_url.join(&format!("/v1/artifacts/{}/download", artifact.id)),
    }))
}
