//! Identifiers in the path. A malformed one names nothing: it is `not_found`.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use super::error::ApiError;

#[derive(Debug)]
pub(crate) struct PathId<T>(pub T);

/// Two identifiers of one path.
#[derive(Debug)]
pub(crate) struct PathPair<A, B>(pub A, pub B);

impl<S: Sync + Send, T: FromStr> FromRequestParts<S> for PathId<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        let id = text.ok().and_then(|Path(text)| text.parse().ok());
        id.map(Self).ok_or_else(|| ApiError::not_found("resource"))
    }
}

impl<S: Sync + Send, A: FromStr, B: FromStr> FromRequestParts<S> for PathPair<A, B> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let texts = Path::<(String, String)>::from_request_parts(parts, state).await;
        let pair = texts.ok().and_then(|Path((a, b))| Some(Self(a.parse().ok()?, b.parse().ok()?)));
        pair.ok_or_else(|| ApiError::not_found("resource"))
    }
}
