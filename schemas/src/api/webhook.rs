//! Webhooks after the Standard Webhooks specification: receivers of news about ended runs, and deliveries to them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::run::WorkspaceRun;
use crate::id::{DeliveryId, OrgId, ProjectId, RunId, WebhookId};
use crate::word::word_enum;
use crate::{Timestamp, limits};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateWebhook {
    /// URL to POST to: https, without user name and password, and not at a private address.
    #[schemars(length(min = 1, max = limits::URL_BYTES), extend("format" = "uri"))]
    pub url: String,
    /// Limits the webhook to runs of this project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    pub id: WebhookId,
    pub org_id: OrgId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    pub url: String,
    pub created_at: Timestamp,
    /// Time at which the receiver answered 410; nothing has been sent since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WebhookAnswer {
    pub webhook: Webhook,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreatedWebhook {
    pub webhook: Webhook,
    /// Secret for checking signatures: `whsec_` and base64. Shown only in this answer.
    pub secret: String,
}

word_enum! {
    /// State of a delivery.
    DeliveryStatus: "one of pending, delivered, failed" {
        Pending = "pending",
        Delivered = "delivered",
        Failed = "failed",
    }
}

/// A message to a webhook, and all attempts to deliver it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// Value of the header `webhook-id`.
    pub id: DeliveryId,
    pub webhook_id: WebhookId,
    pub workspace_run_id: RunId,
    #[serde(rename = "type")]
    pub kind: String,
    pub status: DeliveryStatus,
    pub attempts: u32,
    pub created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempt_at: Option<Timestamp>,
    /// Time of the next attempt; absent if there will be none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
    /// HTTP status of the receiver's last answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_status: Option<u16>,
    /// Cause of the last attempt's failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryAnswer {
    pub delivery: Delivery,
}

/// Body of a delivery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WebhookMessage {
    /// Always `workspace_run.ended`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Time at which the run ended.
    pub timestamp: Timestamp,
    pub data: WebhookData,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookData {
    pub workspace_run: WorkspaceRun,
}
