//! `DELETE /v1/api-keys/{id}`: the key stops working, here at once and elsewhere within a second.

use axum::response::Response;
use schemas::api::key::ApiKeyAnswer;
use schemas::id::ApiKeyId;
use schemas::scope::Scope;

use crate::db::api_keys;
use crate::http::error::ApiError;
use crate::http::path_id::PathId;
use crate::operation::parameters::API_KEY_ID;
use crate::operation::{Change, Keyed, Operation, examples, json};

pub(crate) const OPERATION: Keyed =
    Operation::delete("/v1/api-keys/{id}", "revokeApiKey", "Revoke an API key, at once and for good")
        .scope(Scope::ApiKeyRevoke)
        .takes(&[API_KEY_ID])
        .answers(200, json::<ApiKeyAnswer>(examples::api_key_answer))
        .keyed();

pub(crate) async fn handle(change: Change, PathId(id): PathId<ApiKeyId>) -> Result<Response, ApiError> {
    let response = change
        .once(&[id.as_str()], async |transaction| {
            let revoked = api_keys::revoke(transaction, change.caller.org(), &change.caller.bounds(), &id).await?;
            Ok(ApiKeyAnswer { api_key: revoked.ok_or_else(|| ApiError::not_found("API key"))? })
        })
        .await?;
    change.app.callers.forget(&id);
    Ok(response)
}
