//! `GET /v1/webhooks/{id}`

use axum::Json;
use schemas::api::webhook::WebhookAnswer;
use schemas::id::WebhookId;
use schemas::scope::Scope;

use crate::http::error::ApiError;
use crate::http::path_id::PathId;
use crate::operation::parameters::WEBHOOK_ID;
use crate::operation::{Call, Operation, examples, json};

pub(crate) const OPERATION: Operation =
    Operation::get("/v1/webhooks/{id}", "getWebhook", "One webhook, without its secret")
        .scope(Scope::WebhookRead)
        .takes(&[WEBHOOK_ID])
        .answers(200, json::<WebhookAnswer>(examples::webhook_answer));

pub(crate) async fn handle(call: Call, PathId(id): PathId<WebhookId>) -> Result<Json<WebhookAnswer>, ApiError> {
    Ok(Json(WebhookAnswer { webhook: super::find(&call.app.pool.get().await?, &call.caller, &id).await? }))
}
