//! `GET /v1/projects`: the projects that the key may see.

use axum::Json;
use axum::extract::State;
use schemas::api::list::List;
use schemas::api::project::Project;

use crate::app::App;
use crate::auth::Caller;
use crate::db::projects;
use crate::http::error::ApiError;
use crate::http::query::Query;

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    query: Query,
) -> Result<Json<List<Project>>, ApiError> {
    let page = query.page()?;
    let found = projects::list(&app.pool.get().await?, caller.org(), caller.only_projects(), &page).await?;
    Ok(Json(page.list(found, |project| project)))
}
