//! `/v1/webhooks`, and their deliveries.

pub(super) mod create;
pub(super) mod delete;
pub(super) mod deliveries;
pub(super) mod get;
pub(super) mod list;
pub(super) mod redeliver;

use database::GenericClient;
use schemas::api::webhook::Webhook;
use schemas::id::WebhookId;

use crate::auth::Caller;
use crate::db::webhooks;
use crate::http::error::ApiError;

/// Finds a webhook, if the caller may see it: a key that is limited to projects does not see a webhook of all projects.
async fn find(client: &impl GenericClient, caller: &Caller, id: &WebhookId) -> Result<Webhook, ApiError> {
    let visible = |webhook: &Webhook| match &webhook.project_id {
        Some(project) => caller.may_see(project),
        None => caller.only_projects().is_none(),
    };
    webhooks::find(client, caller.org(), id).await?.filter(visible).ok_or_else(|| ApiError::not_found("webhook"))
}
