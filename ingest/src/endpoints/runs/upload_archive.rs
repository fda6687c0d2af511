//! `PUT /v1/workspace-runs/{id}/archive`: a small archive, in one request.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use database::Transaction;
use schemas::id::RunId;
use schemas::scope::Scope;

use crate::app::App;
use crate::archive::{Declared, Receiver, Storing, discard};
use crate::auth::Caller;
use crate::db::archives;
use crate::error::ApiError;
use crate::idempotency::{Begun, IdempotencyKey, conclude};
use crate::path_id::PathId;

const ROUTE: (&str, &str) = ("PUT", "/v1/workspace-runs/{id}/archive");

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    PathId(id): PathId<RunId>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let upload = match Upload::accept(&app, &caller, &key, &id, &headers).await {
        Ok(Accepted::Upload(upload)) => upload,
        Ok(Accepted::Replayed(response)) => {
            discard(body).await;
            return response;
        }
        Err(error) => {
            discard(body).await;
            return error.into_response();
        }
    };
    upload.receive(body).await.unwrap_or_else(IntoResponse::into_response)
}

struct Upload<'a> {
    app: &'a App,
    caller: &'a Caller,
    key: &'a IdempotencyKey,
    id: &'a RunId,
    declared: Declared,
    storing: Storing,
}

enum Accepted<'a> {
    Upload(Upload<'a>),
    Replayed(Response),
}

impl<'a> Upload<'a> {
    /// Everything that can be refused before the bytes come. No connection is held while they do.
    async fn accept(
        app: &'a App,
        caller: &'a Caller,
        key: &'a IdempotencyKey,
        id: &'a RunId,
        headers: &HeaderMap,
    ) -> Result<Accepted<'a>, ApiError> {
        caller.require(Scope::WorkspaceRunCreate)?;
        let declared = Declared::from_headers(headers, app.config.direct_upload_max_bytes)?;
        declared.check_content_length(headers)?;
        let mut client = app.pool.get().await?;
        let run = super::find(&client, caller, id).await?;
        let transaction = client.transaction().await?;
        let begun = key.begin(&transaction, caller, ROUTE, &(id, &declared)).await;
        if let Begun::Replayed(response) = conclude(transaction, begun).await? {
            return Ok(Accepted::Replayed(response));
        }
        let stored = super::has_archive(&run, &declared)? || archives::exists(&client, caller.org(), &declared).await?;
        let storing = if stored { Storing::VerifyOnly } else { Storing::Store };
        Ok(Accepted::Upload(Upload { app, caller, key, id, declared, storing }))
    }

    async fn receive(&self, body: Body) -> Result<Response, ApiError> {
        let idle = Duration::from_millis(self.app.config.body_idle_timeout_ms);
        let receiver = Receiver { store: &self.app.store, org: self.caller.org(), idle };
        receiver.receive(body, &self.declared, self.storing).await?;
        let mut client = self.app.pool.get().await?;
        let transaction = client.transaction().await?;
        let done = self.attach(&transaction).await;
        conclude(transaction, done).await
    }

    async fn attach(&self, transaction: &Transaction<'_>) -> Result<Response, ApiError> {
        let request = (self.id, &self.declared);
        let attempt = match self.key.begin(transaction, self.caller, ROUTE, &request).await? {
            Begun::Fresh(attempt) => attempt,
            Begun::Replayed(response) => return Ok(response),
        };
        archives::insert(transaction, self.caller.org(), &self.declared).await?;
        let run = super::lock(transaction, self.caller, self.id).await?;
        let run = super::attach(transaction, run, &self.declared).await?;
        attempt.finish(transaction, StatusCode::OK, &super::archive_answer(run)?).await
    }
}
