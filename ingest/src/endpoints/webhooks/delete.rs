//! `DELETE /v1/webhooks/{id}`: the webhook goes with all its deliveries; a message on its way may still arrive.

use axum::response::Response;
use schemas::api::webhook::WebhookAnswer;
use schemas::id::WebhookId;
use schemas::scope::Scope;

use crate::db::webhooks;
use crate::http::error::ApiError;
use crate::http::path_id::PathId;
use crate::operation::parameters::WEBHOOK_ID;
use crate::operation::{Change, Keyed, Operation, examples, json};

pub(crate) const OPERATION: Keyed =
    Operation::delete("/v1/webhooks/{id}", "deleteWebhook", "Delete a webhook and its deliveries")
        .scope(Scope::WebhookDelete)
        .takes(&[WEBHOOK_ID])
        .answers(200, json::<WebhookAnswer>(examples::webhook_answer))
        .keyed();

pub(crate) async fn handle(change: Change, PathId(id): PathId<WebhookId>) -> Result<Response, ApiError> {
    change
        .once(&[id.as_str()], async |transaction| {
            let webhook = super::find(transaction, &change.caller, &id).await?;
            webhooks::delete(transaction, &id).await?;
            Ok(WebhookAnswer { webhook })
        })
        .await
}
