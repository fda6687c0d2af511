//! The one error of every route: what the client did wrong, or an internal failure that it learns nothing about.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use infra::s3::StoreError;
use schemas::api::error::{ErrorBody, ErrorDetail};

use crate::db::DbError;

macro_rules! codes {
    ($($variant:ident = $word:literal, $status:ident;)+) => {
        /// Error codes of the contract. Each has one HTTP status.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code { $($variant,)+ }

        impl Code {
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            pub(crate) fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)+ }
            }
        }
    };
}

codes! {
    InvalidRequest = "invalid_request", BAD_REQUEST;
    RangeNotSatisfiable = "invalid_request", RANGE_NOT_SATISFIABLE;
    Unauthorized = "unauthorized", UNAUTHORIZED;
    InvalidApiKey = "invalid_api_key", UNAUTHORIZED;
    Forbidden = "forbidden", FORBIDDEN;
    NotFound = "not_found", NOT_FOUND;
    IdempotencyKeyReused = "idempotency_key_reused", CONFLICT;
    IdempotencyRequestInProgress = "idempotency_request_in_progress", CONFLICT;
    UploadConflict = "upload_conflict", CONFLICT;
    UploadNotFound = "upload_not_found", NOT_FOUND;
    UploadExpired = "upload_expired", GONE;
    UploadIncomplete = "upload_incomplete", CONFLICT;
    UploadChecksumMismatch = "upload_checksum_mismatch", BAD_REQUEST;
    UploadSizeMismatch = "upload_size_mismatch", BAD_REQUEST;
    FileTooLarge = "file_too_large", PAYLOAD_TOO_LARGE;
    InvalidMetadataKey = "invalid_metadata_key", BAD_REQUEST;
    InvalidMetadataValue = "invalid_metadata_value", BAD_REQUEST;
    MetadataTooLarge = "metadata_too_large", BAD_REQUEST;
    MetadataTooManyKeys = "metadata_too_many_keys", BAD_REQUEST;
    UnsupportedRuntimeOption = "unsupported_runtime_option", BAD_REQUEST;
    QuotaExceeded = "quota_exceeded", TOO_MANY_REQUESTS;
    RateLimited = "rate_limited", TOO_MANY_REQUESTS;
    InternalError = "internal_error", INTERNAL_SERVER_ERROR;
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("{message}")]
    Refused { code: Code, message: String, details: Option<serde_json::Value>, retry_after_s: Option<u64> },
    #[error(transparent)]
    Internal(anyhow::Error),
}

impl ApiError {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self::Refused { code, message: message.into(), details: None, retry_after_s: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, message)
    }

    /// `what` is the kind of thing, never its identifier: a foreign one and a missing one look the same.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("This {what} does not exist, or this API key may not see it."))
    }

    /// Refused for now; the same request may succeed after so many seconds.
    pub(crate) fn retry_after(code: Code, message: impl Into<String>, seconds: u64) -> Self {
        Self::Refused { code, message: message.into(), details: None, retry_after_s: Some(seconds) }
    }

    pub(crate) fn with_details(mut self, value: serde_json::Value) -> Self {
        if let Self::Refused { details, .. } = &mut self {
            *details = Some(value);
        }
        self
    }

    pub(crate) fn internal(error: impl Into<anyhow::Error>) -> Self {
        Self::Internal(error.into())
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        Self::internal(error)
    }
}

impl From<tokio_postgres::Error> for ApiError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::internal(error)
    }
}

impl From<infra::postgres::PoolError> for ApiError {
    fn from(error: infra::postgres::PoolError) -> Self {
        Self::internal(error)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::internal(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (code, message, details, retry_after_s) = match self {
            Self::Refused { code, message, details, retry_after_s } => (code, message, details, retry_after_s),
            Self::Internal(error) => {
                tracing::error!(error = %format!("{error:#}"), "the request failed");
                let message = "The request failed on our side. Try again; if it persists, report its x-request-id.";
                (Code::InternalError, message.to_owned(), None, None)
            }
        };
        let body = ErrorBody { error: ErrorDetail { code: code.as_str().to_owned(), message, details } };
        let mut response = (code.status(), axum::Json(body)).into_response();
        if let Some(seconds) = retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if code.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_that_may_pass_later_says_when() {
        let response = ApiError::retry_after(Code::RateLimited, "Slow down.", 7).into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[header::RETRY_AFTER], "7");
    }

    #[test]
    fn internals_are_not_told() {
        let response = ApiError::internal(anyhow::anyhow!("password=hunter2")).into_response();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
