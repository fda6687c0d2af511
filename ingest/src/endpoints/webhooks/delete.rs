//! `DELETE /v1/webhooks/{id}`: with all its deliveries; what is on its way may still arrive.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use database::Transaction;
use schemas::api::webhook::WebhookAnswer;
use schemas::id::WebhookId;
use schemas::scope::Scope;

use crate::app::App;
use crate::auth::Caller;
use crate::db::webhooks;
use crate::error::ApiError;
use crate::idempotency::{Begun, IdempotencyKey, conclude};
use crate::path_id::PathId;

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    PathId(id): PathId<WebhookId>,
) -> Result<Response, ApiError> {
    caller.require(Scope::WebhookDelete)?;
    let mut client = app.pool.get().await?;
    let transaction = client.transaction().await?;
    let done = delete(&transaction, &caller, &key, &id).await;
    conclude(transaction, done).await
}

async fn delete(
    transaction: &Transaction<'_>,
    caller: &Caller,
    key: &IdempotencyKey,
    id: &WebhookId,
) -> Result<Response, ApiError> {
    let attempt = match key.begin(transaction, caller, ("DELETE", "/v1/webhooks/{id}"), &[id.as_str()]).await? {
        Begun::Fresh(attempt) => attempt,
        Begun::Replayed(response) => return Ok(response),
    };
    let webhook = super::find(transaction, caller, id).await?;
    webhooks::delete(transaction, id).await?;
    attempt.finish(transaction, StatusCode::OK, &WebhookAnswer { webhook }).await
}
