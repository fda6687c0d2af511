//! The URL at which clients reach this service, for URLs in answers: configured, or taken from the Host header.

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use axum::http::uri::Authority;

use super::error::ApiError;
use crate::app::App;

/// Scheme, authority and, if configured, a path; without a slash at the end.
#[derive(Debug)]
pub(crate) struct PublicUrl(String);

impl PublicUrl {
    pub(crate) fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

impl FromRequestParts<App> for PublicUrl {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        if let Some(configured) = &app.config.public_url {
            return Ok(Self(configured.trim_end_matches('/').to_owned()));
        }
        let host = parts.headers.get(header::HOST).and_then(|value| value.to_str().ok());
        let authority = host.and_then(|host| host.parse::<Authority>().ok());
        let authority = authority.map_or_else(|| app.config.listen.to_string(), |authority| authority.to_string());
        Ok(Self(format!("http://{authority}")))
    }
}
