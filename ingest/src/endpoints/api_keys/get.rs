//! `GET /v1/api-keys/{id}`

use axum::Json;
use axum::extract::State;
use schemas::api::key::ApiKeyAnswer;
use schemas::id::ApiKeyId;
use schemas::scope::Scope;

use crate::app::App;
use crate::auth::Caller;
use crate::db::api_keys;
use crate::http::error::ApiError;
use crate::http::path_id::PathId;

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<ApiKeyId>,
) -> Result<Json<ApiKeyAnswer>, ApiError> {
    caller.require(Scope::ApiKeyRead)?;
    let found = api_keys::find(&app.pool.get().await?, caller.org(), &id).await?;
    Ok(Json(ApiKeyAnswer { api_key: found.ok_or_else(|| ApiError::not_found("API key"))? }))
}
