//! `GET /v1/webhooks/{id}`

use axum::Json;
use axum::extract::State;
use schemas::api::webhook::WebhookAnswer;
use schemas::id::WebhookId;
use schemas::scope::Scope;

use crate::app::App;
use crate::auth::Caller;
use crate::http::error::ApiError;
use crate::http::path_id::PathId;

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<WebhookId>,
) -> Result<Json<WebhookAnswer>, ApiError> {
    caller.require(Scope::WebhookRead)?;
    Ok(Json(WebhookAnswer { webhook: super::find(&app.pool.get().await?, &caller, &id).await? }))
}
