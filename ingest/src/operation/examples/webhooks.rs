//! Examples about webhooks and their deliveries.

use schemas::api::webhook::{
    CreateWebhook, CreatedWebhook, Delivery, DeliveryAnswer, DeliveryStatus, Webhook, WebhookAnswer,
};
use serde_json::Value;

use super::{at, example_id, list, written};

fn webhook() -> Webhook {
    Webhook {
        id: example_id!("whk"),
        org_id: example_id!("org"),
        project_id: None,
        url: "https://ci.example.com/crownest".to_owned(),
        created_at: at(0),
        disabled_at: None,
    }
}

pub(crate) fn create_webhook() -> Value {
    written(CreateWebhook { url: webhook().url, project_id: None })
}

pub(crate) fn created_webhook() -> Value {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned();
    written(CreatedWebhook { webhook: webhook(), secret })
}

pub(crate) fn webhook_answer() -> Value {
    written(WebhookAnswer { webhook: webhook() })
}

pub(crate) fn webhooks() -> Value {
    written(list(webhook()))
}

fn delivery() -> Delivery {
    Delivery {
        id: example_id!("whd"),
        webhook_id: example_id!("whk"),
        workspace_run_id: example_id!("wsr"),
        kind: "workspace_run.ended".to_owned(),
        status: DeliveryStatus::Delivered,
        attempts: 1,
        created_at: at(4_650),
        last_attempt_at: Some(at(5_000)),
        next_attempt_at: None,
        response_status: Some(204),
        error: None,
    }
}

pub(crate) fn delivery_answer() -> Value {
    written(DeliveryAnswer { delivery: delivery() })
}

pub(crate) fn deliveries() -> Value {
    written(list(delivery()))
}
