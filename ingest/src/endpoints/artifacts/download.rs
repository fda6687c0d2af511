//! `GET /v1/artifacts/{id}/download`: the bytes, or one range of them.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use infra::s3::StoreError;
use schemas::api::artifact::Artifact;
use schemas::id::ArtifactId;
use schemas::scope::Scope;

use crate::app::App;
use crate::auth::Caller;
use crate::body::from_store;
use crate::byte_range::{Ranged, resolve};
use crate::content_disposition;
use crate::error::{ApiError, Code};
use crate::path_id::PathId;

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<ArtifactId>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    caller.require(Scope::ArtifactRead)?;
    let artifact = super::find_kept(&app.pool.get().await?, &caller, &id).await?;
    let etag = format!("\"{}\"", artifact.sha256);
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    // A range of something else than what the client has is worth nothing to it.
    let range = text(header::RANGE).filter(|_| text(header::IF_RANGE).is_none_or(|wanted| wanted == etag));
    let ranged = range.map_or(Ranged::Whole, |range| resolve(range, artifact.size_bytes));
    let (status, length, content_range) = match &ranged {
        Ranged::Whole => (StatusCode::OK, artifact.size_bytes, None),
        Ranged::Part(part) => {
            let (start, end) = (part.start(), part.end());
            let described = format!("bytes {start}-{end}/{}", artifact.size_bytes);
            (StatusCode::PARTIAL_CONTENT, end - start + 1, Some(described))
        }
        Ranged::Unsatisfiable => return Ok(unsatisfiable(artifact.size_bytes)),
    };
    let body = if artifact.size_bytes == 0 { Body::empty() } else { open(&app, &artifact, &ranged).await? };
    let mut response = (status, body).into_response();
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    answer.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    let content_type = artifact.content_type.as_deref().and_then(|text| HeaderValue::from_str(text).ok());
    let unknown = HeaderValue::from_static("application/octet-stream");
    answer.insert(header::CONTENT_TYPE, content_type.unwrap_or(unknown));
    answer.insert(header::CONTENT_DISPOSITION, content_disposition::attachment(&artifact.name));
    for (name, value) in [(header::ETAG, Some(etag)), (header::CONTENT_RANGE, content_range)] {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            answer.insert(name, value);
        }
    }
    Ok(response)
}

async fn open(app: &App, artifact: &Artifact, ranged: &Ranged) -> Result<Body, ApiError> {
    let range = match ranged {
        Ranged::Part(part) => Some(format!("bytes={}-{}", part.start(), part.end())),
        _ => None,
    };
    let stream = app.store.get_stream(&artifact.object_key, range).await.map_err(|error| match error {
        // Deleted between the look into the database and here.
        StoreError::NotFound(_) => ApiError::not_found("artifact"),
        other @ StoreError::Request { .. } => other.into(),
    })?;
    Ok(from_store(stream))
}

fn unsatisfiable(size: u64) -> Response {
    let message = format!("Range: expected a range within the {size} bytes of this artifact.");
    let mut response = ApiError::new(Code::RangeNotSatisfiable, message).into_response();
    if let Ok(value) = HeaderValue::try_from(format!("bytes */{size}")) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    response
}
