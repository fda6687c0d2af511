//! `GET /v1/projects`: the projects that the key may see.

use axum::Json;
use schemas::api::list::List;
use schemas::api::project::Project;

use crate::db::projects;
use crate::http::error::ApiError;
use crate::http::query::Query;
use crate::operation::parameters::PAGE;
use crate::operation::{Call, Operation, examples, json};

pub(crate) const OPERATION: Operation =
    Operation::get("/v1/projects", "listProjects", "List the projects that the key may see, newest first")
        .takes(PAGE)
        .answers(200, json::<List<Project>>(examples::projects));

pub(crate) async fn handle(call: Call, query: Query) -> Result<Json<List<Project>>, ApiError> {
    let page = query.page()?;
    let client = call.app.pool.get().await?;
    let found = projects::list(&client, call.caller.org(), call.caller.only_projects(), &page).await?;
    Ok(Json(page.list(found, |project| project)))
}
