//! `POST /v1/artifacts/{id}/download-url`: where the bytes are. Downloads go through this service, with the API key.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use schemas::api::artifact::DownloadUrl;
use schemas::id::ArtifactId;
use schemas::scope::Scope;

use crate::app::App;
use crate::auth::Caller;
use crate::http::error::ApiError;
use crate::http::path_id::PathId;
use crate::http::public_url::PublicUrl;

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<ArtifactId>,
    public_url: PublicUrl,
) -> Result<Json<DownloadUrl>, ApiError> {
    caller.require(Scope::ArtifactRead)?;
    let artifact = super::find_kept(&app.pool.get().await?, &caller, &id).await?;
    Ok(Json(DownloadUrl {
        auth_mode: "api_key".to_owned(),
        headers: BTreeMap::new(),
        method: "GET".to_owned(),
        url: public_url.join(&format!("/v1/artifacts/{}/download", artifact.id)),
    }))
}
