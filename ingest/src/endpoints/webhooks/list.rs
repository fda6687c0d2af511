//! `GET /v1/webhooks`: newest first.

use axum::Json;
use axum::extract::State;
use schemas::api::list::List;
use schemas::api::webhook::Webhook;
use schemas::scope::Scope;

use crate::app::App;
use crate::auth::Caller;
use crate::db::webhooks;
use crate::http::error::ApiError;
use crate::http::query::Query;

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    query: Query,
) -> Result<Json<List<Webhook>>, ApiError> {
    caller.require(Scope::WebhookRead)?;
    let page = query.page()?;
    let found = webhooks::list(&app.pool.get().await?, caller.org(), caller.only_projects(), &page).await?;
    Ok(Json(page.list(found, |webhook| webhook)))
}
