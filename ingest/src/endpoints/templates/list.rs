//! `GET /v1/templates`: newest first.

use axum::Json;
use axum::extract::State;
use schemas::api::list::List;
use schemas::api::template::OfferedTemplate;

use crate::app::App;
use crate::db::templates::offered;
use crate::error::ApiError;
use crate::page::Page;
use crate::query::Query;

pub(crate) async fn handle(State(app): State<App>, query: Query) -> Result<Json<List<OfferedTemplate>>, ApiError> {
    let page = Page::from_query(&query)?;
    let found = offered::list(&app.pool.get().await?, &page).await?;
    Ok(Json(page.list(found, |template| template)))
}
