//! `GET /v1/webhooks`: newest first.

use axum::Json;
use schemas::api::list::List;
use schemas::api::webhook::Webhook;
use schemas::scope::Scope;

use crate::db::webhooks;
use crate::http::error::ApiError;
use crate::http::query::Query;
use crate::operation::parameters::PAGE;
use crate::operation::{Call, Operation, examples, json};

pub(crate) const OPERATION: Operation = Operation::get("/v1/webhooks", "listWebhooks", "List webhooks, newest first")
    .scope(Scope::WebhookRead)
    .takes(PAGE)
    .answers(200, json::<List<Webhook>>(examples::webhooks));

pub(crate) async fn handle(call: Call, query: Query) -> Result<Json<List<Webhook>>, ApiError> {
    let page = query.page()?;
    let found =
        webhooks::list(&call.app.pool.get().await?, call.caller.org(), call.caller.only_projects(), &page).await?;
    Ok(Json(page.list(found, |webhook| webhook)))
}
