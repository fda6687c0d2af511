//! `GET /v1/templates`: newest first.

use axum::Json;
use schemas::api::list::List;
use schemas::api::template::OfferedTemplate;

use crate::db::templates::offered;
use crate::http::error::ApiError;
use crate::http::query::Query;
use crate::operation::parameters::PAGE;
use crate::operation::{Call, Operation, examples, json};

pub(crate) const OPERATION: Operation =
    Operation::get("/v1/templates", "listTemplates", "List the templates of runs, newest first")
        .takes(PAGE)
        .answers(200, json::<List<OfferedTemplate>>(examples::templates));

pub(crate) async fn handle(call: Call, query: Query) -> Result<Json<List<OfferedTemplate>>, ApiError> {
    let page = query.page()?;
    let found = offered::list(&call.app.pool.get().await?, &page).await?;
    Ok(Json(page.list(found, |template| template)))
}
