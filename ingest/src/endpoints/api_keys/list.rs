//! `GET /v1/api-keys`: all keys of the organization, revoked ones included.

use axum::Json;
use axum::extract::State;
use schemas::api::key::ApiKey;
use schemas::api::list::List;
use schemas::scope::Scope;

use crate::app::App;
use crate::auth::Caller;
use crate::db::api_keys;
use crate::http::error::ApiError;
use crate::http::query::Query;

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    query: Query,
) -> Result<Json<List<ApiKey>>, ApiError> {
    caller.require(Scope::ApiKeyRead)?;
    let page = query.page()?;
    let found = api_keys::list(&app.pool.get().await?, caller.org(), &page).await?;
    Ok(Json(page.list(found, |key| key)))
}
