//! `DELETE /v1/api-keys/{id}`: the key stops working, here at once and elsewhere within a second.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use database::Transaction;
use schemas::api::key::ApiKeyAnswer;
use schemas::id::ApiKeyId;
use schemas::scope::Scope;

use crate::app::App;
use crate::auth::Caller;
use crate::db::api_keys;
use crate::error::ApiError;
use crate::idempotency::{Begun, IdempotencyKey, conclude};
use crate::path_id::PathId;

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    PathId(id): PathId<ApiKeyId>,
) -> Result<Response, ApiError> {
    caller.require(Scope::ApiKeyRevoke)?;
    let mut client = app.pool.get().await?;
    let transaction = client.transaction().await?;
    let done = revoke(&transaction, &caller, &key, &id).await;
    let response = conclude(transaction, done).await?;
    app.principals.forget(&id);
    Ok(response)
}

async fn revoke(
    transaction: &Transaction<'_>,
    caller: &Caller,
    key: &IdempotencyKey,
    id: &ApiKeyId,
) -> Result<Response, ApiError> {
    let attempt = match key.begin(transaction, caller, ("DELETE", "/v1/api-keys/{id}"), &[id.as_str()]).await? {
        Begun::Fresh(attempt) => attempt,
        Begun::Replayed(response) => return Ok(response),
    };
    let revoked = api_keys::revoke(transaction, caller.org(), id).await?;
    let api_key = revoked.ok_or_else(|| ApiError::not_found("API key"))?;
    attempt.finish(transaction, StatusCode::OK, &ApiKeyAnswer { api_key }).await
}
