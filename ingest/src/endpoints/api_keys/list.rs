//! `GET /v1/api-keys`: the organization's keys that have no right which the caller lacks, revoked ones included.

use axum::Json;
use schemas::api::key::ApiKey;
use schemas::api::list::List;
use schemas::scope::Scope;

use crate::db::api_keys;
use crate::http::error::ApiError;
use crate::http::query::Query;
use crate::operation::parameters::PAGE;
use crate::operation::{Call, Operation, examples, json};

pub(crate) const OPERATION: Operation = Operation::get(
    "/v1/api-keys",
    "listApiKeys",
    "List the organization's API keys within this key's own scopes and projects, newest first",
)
.scope(Scope::ApiKeyRead)
.takes(PAGE)
.answers(200, json::<List<ApiKey>>(examples::api_keys));

pub(crate) async fn handle(call: Call, query: Query) -> Result<Json<List<ApiKey>>, ApiError> {
    let page = query.page()?;
    let found = api_keys::list(&call.app.pool.get().await?, call.caller.org(), &call.caller.bounds(), &page).await?;
    Ok(Json(page.list(found, |key| key)))
}
