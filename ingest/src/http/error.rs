//! The one error type of every route: a refusal that tells the client what was wrong, or an internal failure that is
//! logged and not told.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use database::DbError;
use infra::s3::StoreError;
use schemas::api::error::{ErrorBody, ErrorDetail};

macro_rules! codes {
    ($($variant:ident = $word:literal, $status:ident, $about:literal;)+) => {
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

            /// The general meaning; messages say more.
            pub(crate) fn about(self) -> &'static str {
                match self { $(Self::$variant => $about,)+ }
            }
        }
    };
}

codes! {
    InvalidRequest = "invalid_request", BAD_REQUEST,
        "A part of the request does not match this document; the message names it.";
    RangeNotSatisfiable = "invalid_request", RANGE_NOT_SATISFIABLE,
        "The requested range lies outside the object.";
    Unauthorized = "unauthorized", UNAUTHORIZED,
        "The request has no API key: send it as `Authorization: Bearer cn_live_…`.";
    InvalidApiKey = "invalid_api_key", UNAUTHORIZED,
        "This API key is not valid: it is unknown, mistyped or revoked.";
    Forbidden = "forbidden", FORBIDDEN,
        "This API key may not do this: it lacks the scope, or the operator does not allow the project egress.";
    NotFound = "not_found", NOT_FOUND,
        "This does not exist, or this API key may not see it.";
    IdempotencyKeyReused = "idempotency_key_reused", CONFLICT,
        "This Idempotency-Key was used with another request.";
    IdempotencyRequestInProgress = "idempotency_request_in_progress", CONFLICT,
        "The first request with this Idempotency-Key is still running.";
    LegalHold = "legal_hold", CONFLICT,
        "The run or its project is under a legal hold: nothing of it can be deleted.";
    UploadConflict = "upload_conflict", CONFLICT,
        "The run already has another archive, or takes no archive any more.";
    UploadNotFound = "upload_not_found", NOT_FOUND,
        "This upload does not exist, or does not belong to this run.";
    UploadExpired = "upload_expired", GONE,
        "This upload has expired: ask for a new archive transfer.";
    UploadIncomplete = "upload_incomplete", CONFLICT,
        "The archive has not arrived completely.";
    UploadChecksumMismatch = "upload_checksum_mismatch", BAD_REQUEST,
        "The SHA-256 of the received bytes is not the declared one.";
    UploadSizeMismatch = "upload_size_mismatch", BAD_REQUEST,
        "The number of received bytes is not the declared one.";
    FileTooLarge = "file_too_large", PAYLOAD_TOO_LARGE,
        "The body or the archive has more bytes than are accepted here.";
    InvalidMetadataKey = "invalid_metadata_key", BAD_REQUEST,
        "A metadata key is too long, or has characters other than A-Z a-z 0-9 _ . -";
    InvalidMetadataValue = "invalid_metadata_value", BAD_REQUEST,
        "A metadata value is not a string, or is too long.";
    MetadataTooLarge = "metadata_too_large", BAD_REQUEST,
        "The metadata has more than 16 KiB.";
    MetadataTooManyKeys = "metadata_too_many_keys", BAD_REQUEST,
        "The metadata has more than 50 keys.";
    ReservedEnvKey = "reserved_env_key", BAD_REQUEST,
        "A variable of `env` has a name that is reserved for the sandbox.";
    UnsupportedRuntimeOption = "unsupported_runtime_option", BAD_REQUEST,
        "keepSandbox and sandboxId are not supported, nor is env where the operator has set no key to encrypt it with.";
    QuotaExceeded = "quota_exceeded", TOO_MANY_REQUESTS,
        "The organization has used up what its plan includes in this period, or has as many of these open as it may.";
    RateLimited = "rate_limited", TOO_MANY_REQUESTS,
        "This API key makes too many requests in a minute, or has too many streams or uploads at once.";
    ServiceUnavailable = "service_unavailable", SERVICE_UNAVAILABLE,
        "A part of the service is away, full or busy for now; `Retry-After` says when to try again.";
    InternalError = "internal_error", INTERNAL_SERVER_ERROR,
        "The request failed on our side.";
}

/// Seconds after which a client may ask for the store again.
const STORE_RETRY_S: u64 = 10;

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

    /// A refusal for now: the same request may succeed after so many seconds.
    pub(crate) fn retry_after(code: Code, message: impl Into<String>, seconds: u64) -> Self {
        // The only form that users of the SDKs see.
        let details = (code == Code::RateLimited).then(|| serde_json::json!({ "retryAfterMs": seconds * 1000 }));
        Self::Refused { code, message: message.into(), details, retry_after_s: Some(seconds) }
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

impl From<database::PoolError> for ApiError {
    fn from(error: database::PoolError) -> Self {
        Self::internal(error)
    }
}

/// A store that is away or full is there again some time: clients wait, as work in the queue does.
impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if let StoreError::NotFound(_) = error {
            return Self::internal(error);
        }
        tracing::error!(%error, "the object store is away or full");
        let message = "The object store takes or gives no bytes right now. Try again later.";
        Self::retry_after(Code::ServiceUnavailable, message, STORE_RETRY_S)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (code, message, details, retry_after_s) = match self {
            Self::Refused { code, message, details, retry_after_s } => (code, message, details, retry_after_s),
            Self::Internal(error) => {
                tracing::error!(error = %format!("{error:#}"), "cannot answer the request");
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
