//! A request on its way to its handler: who asks, and for operations that change something, the means to do so once.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{FromRequestParts, Request};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use database::{Client, Transaction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Operation;
use crate::app::App;
use crate::archive::discard;
use crate::auth::Caller;
use crate::db::idempotency::Scope;
use crate::http::body;
use crate::http::error::ApiError;
use crate::idempotency::{self, Fingerprint, Fingerprints, IdempotencyKey};

/// A request whose caller has the scope that its operation needs.
#[derive(Debug)]
pub(crate) struct Call {
    pub app: App,
    pub caller: Caller,
    pub headers: HeaderMap,
    /// Never locked: a `Body` alone is not `Sync`.
    body: Mutex<Body>,
}

impl Call {
    /// Checks the caller, then the head of the request, then the scope: a malformed request is refused as such first.
    pub(super) async fn admit<Input: FromRequestParts<App>>(
        operation: &Operation,
        app: App,
        request: Request,
    ) -> Result<(Self, Input), Response> {
        let (mut head, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut head, &app).await.map_err(IntoResponse::into_response)?;
        let input = Input::from_request_parts(&mut head, &app).await.map_err(IntoResponse::into_response)?;
        if let Some(scope) = operation.scope
            && let Err(refusal) = caller.require(scope)
        {
            if operation.takes_bytes() {
                discard(body).await;
            }
            return Err(refusal.into_response());
        }
        Ok((Self { app, caller, headers: head.headers, body: Mutex::new(body) }, input))
    }

    /// The request's body, which is there once.
    pub(crate) fn take_body(&mut self) -> Body {
        std::mem::take(self.body.get_mut().unwrap_or_else(PoisonError::into_inner))
    }

    /// The body as a JSON object.
    pub(crate) async fn json(&mut self) -> Result<Value, ApiError> {
        let body = self.take_body();
        body::read_json(body, &self.app.upload_buffers, self.caller.org()).await
    }

    /// The body as a typed request.
    pub(crate) async fn shape<T: DeserializeOwned>(&mut self) -> Result<T, ApiError> {
        body::shape(&self.json().await?)
    }
}

/// A call that may be repeated with its `Idempotency-Key`: effect and stored answer are one transaction, so that a
/// crash never separates them.
#[derive(Debug)]
pub(crate) struct Change {
    pub(super) call: Call,
    pub(super) key: IdempotencyKey,
    pub(super) operation: Operation,
}

impl Change {
    /// Does `work` and stores its answer, or gives the stored answer of an earlier call with the same key. `request` is
    /// all that two equal requests have in common: the parameters of the path and the body. Refusals are never stored.
    pub(crate) async fn once<T: Serialize>(
        &self,
        request: &impl Serialize,
        work: impl AsyncFnOnce(&Transaction<'_>) -> Result<T, ApiError>,
    ) -> Result<Response, ApiError> {
        self.once_as(&Fingerprint::of(request)?.into(), work).await
    }

    /// `once`, for a request whose fingerprint is not a plain digest.
    pub(crate) async fn once_as<T: Serialize>(
        &self,
        fingerprints: &Fingerprints,
        work: impl AsyncFnOnce(&Transaction<'_>) -> Result<T, ApiError>,
    ) -> Result<Response, ApiError> {
        let mut client = self.app.pool.get().await?;
        let transaction = client.transaction().await?;
        let done = self.answer(&transaction, fingerprints, work, None, async |_, _| Ok(None)).await;
        conclude(transaction, done).await
    }

    /// `once`, for an answer that shows a secret in the member `secret`. The answer is stored without it; a repeated answer gets
    /// it from `recall`, which looks for it where it is kept.
    pub(crate) async fn once_with_secret<T: Serialize>(
        &self,
        request: &impl Serialize,
        secret: &'static str,
        work: impl AsyncFnOnce(&Transaction<'_>) -> Result<T, ApiError>,
        recall: impl AsyncFnOnce(&Transaction<'_>, &Value) -> Result<Option<Value>, ApiError>,
    ) -> Result<Response, ApiError> {
        let mut client = self.app.pool.get().await?;
        let transaction = client.transaction().await?;
        let fingerprints = Fingerprint::of(request)?.into();
        let done = self.answer(&transaction, &fingerprints, work, Some(secret), recall).await;
        conclude(transaction, done).await
    }

    /// The stored answer of an earlier call with the same key, for an operation that wants to know before its work.
    pub(crate) async fn repeated(
        &self,
        client: &mut Client,
        request: &impl Serialize,
    ) -> Result<Option<Response>, ApiError> {
        let fingerprints = Fingerprint::of(request)?.into();
        let transaction = client.transaction().await?;
        let found = match self.scope() {
            Some(scope) => idempotency::find(&transaction, &scope, &fingerprints).await,
            None => Ok(None),
        };
        conclude(transaction, found).await?.map(|stored| idempotency::replay(&stored)).transpose()
    }

    async fn answer<T: Serialize>(
        &self,
        transaction: &Transaction<'_>,
        fingerprints: &Fingerprints,
        work: impl AsyncFnOnce(&Transaction<'_>) -> Result<T, ApiError>,
        secret: Option<&str>,
        recall: impl AsyncFnOnce(&Transaction<'_>, &Value) -> Result<Option<Value>, ApiError>,
    ) -> Result<Response, ApiError> {
        let scope = self.scope();
        if let Some(scope) = &scope
            && let Some(mut stored) = idempotency::find(transaction, scope, fingerprints).await?
        {
            if let Some(member) = secret
                && let Some(value) = recall(transaction, &stored.answer).await?
            {
                stored.answer[member] = value;
            }
            return idempotency::replay(&stored);
        }
        let body = serde_json::to_value(work(transaction).await?).map_err(ApiError::internal)?;
        let status = StatusCode::from_u16(self.operation.status).map_err(ApiError::internal)?;
        if let Some(scope) = &scope {
            match (secret, &body) {
                (Some(member), Value::Object(members)) => {
                    let mut kept = members.clone();
                    kept.remove(member);
                    idempotency::store(transaction, scope, fingerprints, status, &kept.into()).await?;
                }
                _ => idempotency::store(transaction, scope, fingerprints, status, &body).await?,
            }
        }
        Ok(idempotency::answer(status, &body))
    }

    /// The namespace of the key; `None` when the client sent no key.
    fn scope(&self) -> Option<Scope<'_>> {
        Some(Scope {
            org: self.caller.org(),
            credential: self.caller.credential(),
            method: self.operation.method.as_str(),
            route: self.operation.path,
            key: self.key.as_str()?,
        })
    }
}

/// Ends the transaction before the client hears of it: a client that asks again at once must not meet the locks of
/// its own earlier request, as it would if the transaction were merely dropped.
async fn conclude<T>(transaction: Transaction<'_>, done: Result<T, ApiError>) -> Result<T, ApiError> {
    if done.is_ok() {
        transaction.commit().await?;
    } else if let Err(error) = transaction.rollback().await {
        tracing::debug!(%error, "cannot roll a transaction back; its connection is given up");
    }
    done
}

impl Deref for Change {
    type Target = Call;
    fn deref(&self) -> &Call {
        &self.call
    }
}

impl DerefMut for Change {
    fn deref_mut(&mut self) -> &mut Call {
        &mut self.call
    }
}
