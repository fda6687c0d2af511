//! `GET /v1/webhooks/{id}/deliveries`: the messages of a webhook and their outcomes, newest first.

use axum::Json;
use schemas::api::list::List;
use schemas::api::webhook::Delivery;
use schemas::id::WebhookId;
use schemas::scope::Scope;

use crate::db::webhooks;
use crate::http::error::ApiError;
use crate::http::path_id::PathId;
use crate::http::query::Query;
use crate::operation::parameters::{CURSOR, LIMIT, WEBHOOK_ID};
use crate::operation::{Call, Operation, examples, json};

pub(crate) const OPERATION: Operation =
    Operation::get("/v1/webhooks/{id}/deliveries", "listDeliveries", "List the messages to a webhook, newest first")
        .scope(Scope::WebhookRead)
        .takes(&[WEBHOOK_ID, LIMIT, CURSOR])
        .answers(200, json::<List<Delivery>>(examples::deliveries));

pub(crate) async fn handle(
    call: Call,
    (PathId(id), query): (PathId<WebhookId>, Query),
) -> Result<Json<List<Delivery>>, ApiError> {
    let page = query.page()?;
    let client = call.app.pool.get().await?;
    super::find(&client, &call.caller, &id).await?;
    let found = webhooks::deliveries(&client, &id, &page).await?;
    Ok(Json(page.list(found, |delivery| delivery)))
}
