//! `Idempotency-Key`: effect and stored answer are one transaction, so that a crash never separates them.
//! A handler begins here, works in the same transaction, stores its answer here and concludes.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use database::Transaction;
use infra::keyring::Keyring;
use schemas::limits::IDEMPOTENCY_KEY_CHARS;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::auth::Caller;
use crate::db::idempotency::{self, Scope};
use crate::error::{ApiError, Code};

/// The key of a request, if it has one.
#[derive(Debug, Clone)]
pub(crate) struct IdempotencyKey(Option<String>);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let mut values = parts.headers.get_all("idempotency-key").iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(Self(None)),
            (Some(value), None) => parse(value).map(|key| Self(Some(key))),
            (Some(_), Some(_)) => Err(ApiError::invalid("Idempotency-Key: expected once, got it more often.")),
        }
    }
}

fn parse(value: &HeaderValue) -> Result<String, ApiError> {
    let bytes = value.as_bytes();
    let valid = (1..=IDEMPOTENCY_KEY_CHARS).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    let key = valid.then(|| String::from_utf8_lossy(bytes).into_owned());
    key.ok_or_else(|| ApiError::invalid("Idempotency-Key: expected 1 to 255 visible ASCII characters."))
}

/// What makes two requests the same: the digest of the path's parameters and the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 32]);

/// The one to store, and others that earlier keys gave the same request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fingerprints {
    current: Fingerprint,
    earlier: Vec<Fingerprint>,
}

impl Fingerprint {
    pub(crate) fn of(request: &impl Serialize) -> Result<Self, ApiError> {
        Ok(Self(Sha256::digest(content(request)?).into()))
    }
}

impl Fingerprints {
    /// For a request with secrets in it: whoever reads the database must not be able to try out guesses.
    pub(crate) fn keyed(request: &impl Serialize, keyring: &Keyring) -> Result<Self, ApiError> {
        let mut digests = keyring.digests(&content(request)?).into_iter().map(Fingerprint);
        let current = digests.next().ok_or_else(|| ApiError::internal(anyhow::anyhow!("a keyring without keys")))?;
        Ok(Self { current, earlier: digests.collect() })
    }

    fn include(&self, stored: &[u8]) -> bool {
        std::iter::once(&self.current).chain(&self.earlier).any(|fingerprint| fingerprint.0 == stored)
    }
}

impl From<Fingerprint> for Fingerprints {
    fn from(current: Fingerprint) -> Self {
        Self { current, earlier: Vec::new() }
    }
}

fn content(request: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    let value = serde_json::to_value(request).map_err(ApiError::internal)?;
    // Canonical JSON has no fractions; a body that holds one is compared as it was read.
    let bytes = schemas::canonical::to_vec(&value).or_else(|_| serde_json::to_vec(&value));
    bytes.map_err(ApiError::internal)
}

/// One mutating request on its way through a transaction.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    /// `None` when the client sent no key.
    scope: Option<Scope<'a>>,
    fingerprint: Fingerprint,
}

#[derive(Debug)]
pub(crate) enum Begun<'a> {
    /// Do the work, then `finish`.
    Fresh(Attempt<'a>),
    /// It was done before: this is the answer.
    Replayed(Response),
}

impl IdempotencyKey {
    /// `route` is the path as it is declared, `request` all that two equal requests have in common.
    pub(crate) async fn begin<'a>(
        &'a self,
        transaction: &Transaction<'_>,
        caller: &'a Caller,
        route: (&'static str, &'static str),
        request: &impl Serialize,
    ) -> Result<Begun<'a>, ApiError> {
        self.begin_as(transaction, caller, route, Fingerprint::of(request)?.into()).await
    }

    /// With the fingerprint of a request that is no plain one.
    pub(crate) async fn begin_as<'a>(
        &'a self,
        transaction: &Transaction<'_>,
        caller: &'a Caller,
        (method, route): (&'static str, &'static str),
        fingerprints: Fingerprints,
    ) -> Result<Begun<'a>, ApiError> {
        let fingerprint = fingerprints.current.clone();
        let Some(key) = &self.0 else { return Ok(Begun::Fresh(Attempt { scope: None, fingerprint })) };
        let scope = Scope { org: caller.org(), credential: caller.credential(), method, route, key };
        // Both travel together; the lookup sees what was committed before the lock was given.
        let (locked, stored) = tokio::try_join!(
            idempotency::try_lock(transaction, lock_of(&scope)),
            idempotency::find(transaction, &scope)
        )?;
        if !locked {
            let message = "The first request with this Idempotency-Key is still running: try again later.";
            return Err(ApiError::new(Code::IdempotencyRequestInProgress, message));
        }
        let Some(stored) = stored else {
            return Ok(Begun::Fresh(Attempt { scope: Some(scope), fingerprint }));
        };
        if !fingerprints.include(&stored.fingerprint) {
            let message = "This Idempotency-Key was used with another request: use a new key for a new request.";
            return Err(ApiError::new(Code::IdempotencyKeyReused, message));
        }
        let status = StatusCode::from_u16(stored.status_code).map_err(ApiError::internal)?;
        let mut response = answer(status, &stored.answer);
        response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
        Ok(Begun::Replayed(response))
    }
}

/// Ends the transaction before the client hears of it: a client that asks again at once must not meet the locks of
/// its own earlier request, as it would if the transaction were merely dropped.
pub(crate) async fn conclude<T>(transaction: Transaction<'_>, done: Result<T, ApiError>) -> Result<T, ApiError> {
    if done.is_ok() {
        transaction.commit().await?;
    } else if let Err(error) = transaction.rollback().await {
        tracing::debug!(%error, "a transaction could not be rolled back; its connection is given up");
    }
    done
}

impl Attempt<'_> {
    /// Stores the answer beside the effect; the caller concludes, then returns it. Refusals are never stored.
    pub(crate) async fn finish(
        self,
        transaction: &Transaction<'_>,
        status: StatusCode,
        body: &impl Serialize,
    ) -> Result<Response, ApiError> {
        let body = serde_json::to_value(body).map_err(ApiError::internal)?;
        if let Some(scope) = &self.scope {
            idempotency::insert(transaction, scope, &self.fingerprint.0, status.as_u16(), &body).await?;
        }
        Ok(answer(status, &body))
    }
}

fn answer(status: StatusCode, body: &Value) -> Response {
    if body.is_null() {
        return status.into_response();
    }
    (status, axum::Json(body)).into_response()
}

/// Of 64 bits: a collision makes two strangers wait for each other's transaction, nothing worse.
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
    use serde_json::json;

    #[test]
    fn the_fingerprint_is_about_content_not_about_spelling() {
        let of = |text: &str| Fingerprint::of(&serde_json::from_str::<Value>(text).unwrap()).unwrap();
        assert_eq!(of(r#"{"a":1,"b":[2]}"#), of(r#"{ "b": [2], "a": 1 }"#));
        assert_eq!(of(r#"{"a":1.5,"b":2}"#), of(r#"{"b":2,"a":1.5}"#));
        assert_ne!(of(r#"{"a":1}"#), of(r#"{"a":"1"}"#));
        assert_ne!(
            Fingerprint::of(&json!(["wsr_1", null])).unwrap(),
            Fingerprint::of(&json!(["wsr_2", null])).unwrap()
        );
    }

    #[test]
    fn keys_are_visible_ascii() {
        for (text, valid) in [("a", true), (&*"x".repeat(255), true), ("", false), ("a b", false)] {
            assert_eq!(parse(&HeaderValue::from_str(text).unwrap()).is_ok(), valid, "{text}");
        }
        assert!(parse(&HeaderValue::from_str(&"x".repeat(256)).unwrap()).is_err());
        assert!(parse(&HeaderValue::from_bytes("é".as_bytes()).unwrap()).is_err());
    }

    #[test]
    fn locks_differ_where_scopes_do() {
        let (org, credential) = (OrgId::new(), ApiKeyId::new());
        let scope = |route, key| Scope { org: &org, credential: &credential, method: "POST", route, key };
        assert_eq!(lock_of(&scope("/a", "b")), lock_of(&scope("/a", "b")));
        assert_ne!(lock_of(&scope("/a", "b")), lock_of(&scope("/ab", "")));
    }
}
