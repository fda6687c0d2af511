//! `GET /v1/api-keys/{id}`

use axum::Json;
use schemas::api::key::ApiKeyAnswer;
use schemas::id::ApiKeyId;
use schemas::scope::Scope;

use crate::db::api_keys;
use crate::http::error::ApiError;
use crate::http::path_id::PathId;
use crate::operation::parameters::API_KEY_ID;
use crate::operation::{Call, Operation, examples, json};

pub(crate) const OPERATION: Operation =
    Operation::get("/v1/api-keys/{id}", "getApiKey", "One API key, without its secret")
        .scope(Scope::ApiKeyRead)
        .takes(&[API_KEY_ID])
        .answers(200, json::<ApiKeyAnswer>(examples::api_key_answer));

pub(crate) async fn handle(call: Call, PathId(id): PathId<ApiKeyId>) -> Result<Json<ApiKeyAnswer>, ApiError> {
    let found = api_keys::find(&call.app.pool.get().await?, call.caller.org(), &call.caller.bounds(), &id).await?;
    Ok(Json(ApiKeyAnswer { api_key: found.ok_or_else(|| ApiError::not_found("API key"))? }))
}
