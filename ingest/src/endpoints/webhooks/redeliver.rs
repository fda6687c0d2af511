//! `POST /v1/webhook-deliveries/{id}/redeliver`: sends a message again at once, delivered or not, with the same
//! `webhook-id`.

use axum::response::Response;
use schemas::api::webhook::DeliveryAnswer;
use schemas::id::DeliveryId;
use schemas::scope::Scope;

use crate::db::webhooks;
use crate::http::error::ApiError;
use crate::http::path_id::PathId;
use crate::operation::parameters::DELIVERY_ID;
use crate::operation::{Change, Keyed, Operation, examples, json};

pub(crate) const OPERATION: Keyed = Operation::post(
    "/v1/webhook-deliveries/{id}/redeliver",
    "redeliver",
    "Send a message again, at once, with the same webhook-id",
)
.scope(Scope::WebhookCreate)
.takes(&[DELIVERY_ID])
.answers(200, json::<DeliveryAnswer>(examples::delivery_answer))
.keyed();

pub(crate) async fn handle(change: Change, PathId(id): PathId<DeliveryId>) -> Result<Response, ApiError> {
    change
        .once(&[id.as_str()], async |transaction| {
            let missing = || ApiError::not_found("delivery");
            let webhook = webhooks::webhook_of(transaction, change.caller.org(), &id).await?.ok_or_else(missing)?;
            super::find(transaction, &change.caller, &webhook).await.map_err(|_| missing())?;
            // Whoever asks expects an attempt now.
            webhooks::resume(transaction, &webhook).await?;
            Ok(DeliveryAnswer { delivery: webhooks::redeliver(transaction, &id).await? })
        })
        .await
}
