//! `GET /tlog/…`: the evidence log for monitors (the monitoring prefix of C2SP tlog-tiles). No key is needed: it holds
//! digests only.

use axum::extract::State;
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use schemas::transparency::tile::Resource;

use crate::app::App;
use crate::http::error::{ApiError, Code};

/// A checkpoint is soon replaced by a larger one; all else never changes.
const CHECKPOINT: &str = "public, max-age=1";
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

pub(crate) async fn handle(State(app): State<App>, uri: Uri) -> Result<Response, ApiError> {
    // As it was sent: an escaped path would be another name for the same object in caches.
    let path = uri.path().strip_prefix("/tlog/").unwrap_or_default();
    let resource: Resource = path.parse().map_err(|_| nothing_here())?;
    let body = app.log_reads.read(&app.store, resource).await?.ok_or_else(nothing_here)?;
    let caching = if resource == Resource::Checkpoint { CHECKPOINT } else { IMMUTABLE };
    let headers = [(header::CONTENT_TYPE, resource.content_type()), (header::CACHE_CONTROL, caching)];
    Ok((headers, body).into_response())
}

fn nothing_here() -> ApiError {
    ApiError::new(Code::NotFound, "The evidence log has nothing here: see C2SP tlog-tiles for its paths.")
}
