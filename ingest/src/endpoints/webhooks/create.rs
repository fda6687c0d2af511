//! `POST /v1/webhooks`: the secret is shown in this answer only.

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use database::Transaction;
use schemas::api::webhook::{CreateWebhook, CreatedWebhook};
use schemas::limits::WEBHOOKS;
use schemas::scope::Scope;

use crate::app::App;
use crate::auth::Caller;
use crate::body;
use crate::db::{projects, webhooks};
use crate::error::{ApiError, Code};
use crate::idempotency::{Begun, IdempotencyKey, conclude};
use crate::webhooks::{check_url, new_secret};

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    body: Body,
) -> Result<Response, ApiError> {
    caller.require(Scope::WebhookCreate)?;
    let request: CreateWebhook = body::shape(&body::read_json(body).await?)?;
    check_url(&request.url, &app.config.webhook_allow)
        .map_err(|expected| ApiError::invalid(format!("url: {expected}.")))?;
    if request.project_id.is_none() && caller.only_projects().is_some() {
        let message = "projectId: this API key is limited to projects, name the one that the webhook is for.";
        return Err(ApiError::new(Code::Forbidden, message));
    }
    let mut client = app.pool.get().await?;
    let transaction = client.transaction().await?;
    let done = create(&transaction, &caller, &key, &request).await;
    conclude(transaction, done).await
}

async fn create(
    transaction: &Transaction<'_>,
    caller: &Caller,
    key: &IdempotencyKey,
    request: &CreateWebhook,
) -> Result<Response, ApiError> {
    let attempt = match key.begin(transaction, caller, ("POST", "/v1/webhooks"), request).await? {
        Begun::Fresh(attempt) => attempt,
        Begun::Replayed(response) => return Ok(response),
    };
    if let Some(project) = &request.project_id
        && !(caller.may_see(project) && projects::exists(transaction, caller.org(), project).await?)
    {
        return Err(ApiError::not_found("project"));
    }
    if webhooks::count(transaction, caller.org()).await? >= WEBHOOKS {
        return Err(ApiError::invalid(format!("An organization has at most {WEBHOOKS} webhooks: delete one first.")));
    }
    let secret = new_secret();
    let webhook =
        webhooks::insert(transaction, caller.org(), request.project_id.as_ref(), &request.url, &secret).await?;
    let secret = webhooks::shown(&secret).reveal().to_owned();
    attempt.finish(transaction, StatusCode::CREATED, &CreatedWebhook { webhook, secret }).await
}
