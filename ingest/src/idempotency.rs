//! `Idempotency-Key`: the answer to the first request with a key is stored, and given to every repetition.

mod fingerprint;
mod key;

use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use database::Transaction;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::db::idempotency::{self, Scope, Stored};
use crate::http::error::{ApiError, Code};

pub(crate) use fingerprint::{Fingerprint, Fingerprints};
pub(crate) use key::IdempotencyKey;

/// The stored answer; `None` for the first request with this key, which has the key to itself until the transaction
/// ends.
pub(crate) async fn find(
    transaction: &Transaction<'_>,
    scope: &Scope<'_>,
    fingerprints: &Fingerprints,
) -> Result<Option<Stored>, ApiError> {
    // Both are pipelined; the lookup sees what was committed before the lock was given.
    let (locked, stored) =
        tokio::try_join!(idempotency::try_lock(transaction, lock_of(scope)), idempotency::find(transaction, scope))?;
    if !locked {
        let message = "The first request with this Idempotency-Key is still running: try again later.";
        return Err(ApiError::new(Code::IdempotencyRequestInProgress, message));
    }
    let Some(stored) = stored else { return Ok(None) };
    if !fingerprints.include(&stored.fingerprint) {
        let message = "This Idempotency-Key was used with another request: use a new key for a new request.";
        return Err(ApiError::new(Code::IdempotencyKeyReused, message));
    }
    Ok(Some(stored))
}

/// Gives a stored answer again.
pub(crate) fn replay(stored: &Stored) -> Result<Response, ApiError> {
    let status = StatusCode::from_u16(stored.status_code).map_err(ApiError::internal)?;
    let mut response = answer(status, &stored.answer);
    response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    Ok(response)
}

/// Stores an answer beside its effect.
pub(crate) async fn store(
    transaction: &Transaction<'_>,
    scope: &Scope<'_>,
    fingerprints: &Fingerprints,
    status: StatusCode,
    body: &Value,
) -> Result<(), ApiError> {
    let Fingerprint(digest) = &fingerprints.current;
    Ok(idempotency::insert(transaction, scope, digest, status.as_u16(), body).await?)
}

pub(crate) fn answer(status: StatusCode, body: &Value) -> Response {
    if body.is_null() {
        return status.into_response();
    }
    (status, axum::Json(body)).into_response()
}

/// The advisory lock of a scope. A collision of its 64 bits only makes two strangers wait for each other's transaction.
fn lock_of(scope: &Scope<'_>) -> i64 {
    let mut hasher = Sha256::new();
    for field in [scope.org.as_str(), scope.credential.as_str(), scope.method, scope.route, scope.key] {
        hasher.update((field.len() as u64).to_be_bytes());
        hasher.update(field);
    }
    let digest = hasher.finalize();
    let mut first = [0u8; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::id::{ApiKeyId, OrgId};

    #[test]
    fn locks_differ_where_scopes_do() {
        let (org, credential) = (OrgId::new(), ApiKeyId::new());
        let scope = |route, key| Scope { org: &org, credential: &credential, method: "POST", route, key };
        assert_eq!(lock_of(&scope("/a", "b")), lock_of(&scope("/a", "b")));
        assert_ne!(lock_of(&scope("/a", "b")), lock_of(&scope("/ab", "")));
    }
}
