//! `GET /v1/webhooks/{id}/deliveries`: what was sent, newest first, and how it went.

use axum::Json;
use axum::extract::State;
use schemas::api::list::List;
use schemas::api::webhook::Delivery;
use schemas::id::WebhookId;
use schemas::scope::Scope;

use crate::app::App;
use crate::auth::Caller;
use crate::db::webhooks;
use crate::http::error::ApiError;
use crate::http::path_id::PathId;
use crate::http::query::Query;

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<WebhookId>,
    query: Query,
) -> Result<Json<List<Delivery>>, ApiError> {
    caller.require(Scope::WebhookRead)?;
    let page = query.page()?;
    let client = app.pool.get().await?;
    super::find(&client, &caller, &id).await?;
    let found = webhooks::deliveries(&client, &id, &page).await?;
    Ok(Json(page.list(found, |delivery| delivery)))
}
