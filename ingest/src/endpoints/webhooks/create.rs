//! `POST /v1/webhooks`: the secret is shown in this answer only.

use axum::response::Response;
use database::Transaction;
use schemas::api::webhook::{CreateWebhook, CreatedWebhook};
use schemas::limits::WEBHOOKS;
use schemas::scope::Scope;

use crate::auth::Caller;
use crate::db::{organizations, projects, webhooks};
use crate::http::error::{ApiError, Code};
use crate::operation::{Change, Keyed, Operation, examples, json};
use crate::webhooks::{check_url, new_secret};

pub(crate) const OPERATION: Keyed =
    Operation::post("/v1/webhooks", "createWebhook", "Be told when a run has ended (Standard Webhooks)")
        .scope(Scope::WebhookCreate)
        .body(json::<CreateWebhook>(examples::create_webhook))
        .answers(201, json::<CreatedWebhook>(examples::created_webhook))
        .errors(&[Code::NotFound])
        .keyed();

pub(crate) async fn handle(mut change: Change, (): ()) -> Result<Response, ApiError> {
    let request: CreateWebhook = change.shape().await?;
    check_url(&request.url, &change.app.config.webhook_allow)
        .map_err(|expected| ApiError::invalid(format!("url: {expected}.")))?;
    if request.project_id.is_none() && change.caller.only_projects().is_some() {
        let message = "projectId: this API key is limited to projects, name the one that the webhook is for.";
        return Err(ApiError::new(Code::Forbidden, message));
    }
    let caller = &change.caller;
    change
        .once_with_secret(
            &request,
            "secret",
            async |transaction| create(transaction, caller, &request).await,
            // The webhook's row has it, for as long as it is needed.
            async |transaction, stored| {
                let Some(Ok(id)) = stored["webhook"]["id"].as_str().map(str::parse) else { return Ok(None) };
                let secret = webhooks::secret(transaction, caller.org(), &id).await?;
                Ok(secret.map(|secret| secret.reveal().into()))
            },
        )
        .await
}

async fn create(
    transaction: &Transaction<'_>,
    caller: &Caller,
    request: &CreateWebhook,
) -> Result<CreatedWebhook, ApiError> {
    if let Some(project) = &request.project_id
        && !(caller.may_see(project) && projects::exists(transaction, caller.org(), project).await?)
    {
        return Err(ApiError::not_found("project"));
    }
    organizations::lock(transaction, caller.org()).await?;
    if webhooks::count(transaction, caller.org()).await? >= WEBHOOKS {
        return Err(ApiError::invalid(format!("An organization has at most {WEBHOOKS} webhooks: delete one first.")));
    }
    let secret = new_secret();
    let webhook =
        webhooks::insert(transaction, caller.org(), request.project_id.as_ref(), &request.url, &secret).await?;
    let secret = webhooks::shown(&secret).reveal().to_owned();
    Ok(CreatedWebhook { webhook, secret })
}
