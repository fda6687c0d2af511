//! `GET /v1/templates`: newest first.

use axum::Json;
use axum::extract::State;
use schemas::api::list::List;
use schemas::api::template::OfferedTemplate;

use crate::app::App;
use crate::db::templates::offered;
use crate::http::error::ApiError;
use crate::http::query::Query;

pub(crate) async fn handle(State(app): State<App>, query: Query) -> Result<Json<List<OfferedTemplate>>, ApiError> {
    let page = query.page()?;
    let found = offered::list(&app.pool.get().await?, &page).await?;
    Ok(Json(page.list(found, |template| template)))
}
