//! `POST /v1/webhook-deliveries/{id}/redeliver`: sends a message again at once, delivered or not, with the same
//! `webhook-id`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use database::Transaction;
use schemas::api::webhook::DeliveryAnswer;
use schemas::id::DeliveryId;
use schemas::scope::Scope;

use crate::app::App;
use crate::auth::Caller;
use crate::db::webhooks;
use crate::error::ApiError;
use crate::idempotency::{Begun, IdempotencyKey, conclude};
use crate::path_id::PathId;

const ROUTE: (&str, &str) = ("POST", "/v1/webhook-deliveries/{id}/redeliver");

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    PathId(id): PathId<DeliveryId>,
) -> Result<Response, ApiError> {
    caller.require(Scope::WebhookCreate)?;
    let mut client = app.pool.get().await?;
    let transaction = client.transaction().await?;
    let done = redeliver(&transaction, &caller, &key, &id).await;
    conclude(transaction, done).await
}

async fn redeliver(
    transaction: &Transaction<'_>,
    caller: &Caller,
    key: &IdempotencyKey,
    id: &DeliveryId,
) -> Result<Response, ApiError> {
    let attempt = match key.begin(transaction, caller, ROUTE, &[id.as_str()]).await? {
        Begun::Fresh(attempt) => attempt,
        Begun::Replayed(response) => return Ok(response),
    };
    let missing = || ApiError::not_found("delivery");
    let webhook = webhooks::webhook_of(transaction, caller.org(), id).await?.ok_or_else(missing)?;
    super::find(transaction, caller, &webhook).await.map_err(|_| missing())?;
    let delivery = webhooks::redeliver(transaction, id).await?;
    attempt.finish(transaction, StatusCode::OK, &DeliveryAnswer { delivery }).await
}
