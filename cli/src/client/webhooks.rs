//! Requests about webhooks.

use reqwest::Method;
use schemas::api::webhook::CreateWebhook;
use schemas::id::{DeliveryId, WebhookId};
use serde_json::{Value, json};

use super::idempotency::IdempotencyKey;
use super::pages::Page;
use super::runs::member;
use super::transport::{Call, Client};
use crate::args::projects::PageArgs;
use crate::failure::Failure;

impl Client {
    /// Returns `{webhook, secret}`.
    pub(crate) async fn create_webhook(&self, webhook: &CreateWebhook) -> Result<Value, Failure> {
        let key = IdempotencyKey::generate();
        self.call(Call { body: Some(json!(webhook)), ..Call::post("v1/webhooks", &key) }).await
    }

    pub(crate) async fn webhooks(&self, page: &PageArgs) -> Result<Page, Failure> {
        self.list("v1/webhooks", Vec::new(), page).await
    }

    pub(crate) async fn delete_webhook(&self, id: &WebhookId) -> Result<Value, Failure> {
        let key = IdempotencyKey::generate();
        let call = Call { method: Method::DELETE, ..Call::post(format!("v1/webhooks/{id}"), &key) };
        member(self.call(call).await?, "webhook")
    }

    pub(crate) async fn deliveries(&self, id: &WebhookId, page: &PageArgs) -> Result<Page, Failure> {
        self.list(&format!("v1/webhooks/{id}/deliveries"), Vec::new(), page).await
    }

    pub(crate) async fn redeliver(&self, id: &DeliveryId) -> Result<Value, Failure> {
        let key = IdempotencyKey::generate();
        member(self.call(Call::post(format!("v1/webhook-deliveries/{id}/redeliver"), &key)).await?, "delivery")
    }
}
