//! `/v1/webhooks`, and their deliveries.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod deliveries;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod redeliver;

use database::GenericClient;
use schemas::api::webhook::Webhook;
use schemas::id::WebhookId;

use crate::auth::Caller;
use crate::db::webhooks;
use crate::error::ApiError;

/// The webhook, if the caller may see it: one for every project is out of sight of a key for some.
async fn find(client: &impl GenericClient, caller: &Caller, id: &WebhookId) -> Result<Webhook, ApiError> {
    let visible = |webhook: &Webhook| match &webhook.project_id {
        Some(project) => caller.may_see(project),
        None => caller.only_projects().is_none(),
    };
    webhooks::find(client, caller.org(), id).await?.filter(visible).ok_or_else(|| ApiError::not_found("webhook"))
}
