//! Webhooks after the Standard Webhooks specification: who is told that a run has ended, and how that went.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::run::WorkspaceRun;
use crate::id::{DeliveryId, OrgId, ProjectId, RunId, WebhookId};
use crate::word::word_enum;
use crate::{Timestamp, limits};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateWebhook {
    /// Where to POST: https, without user name and password. Never a private address.
    #[schemars(length(min = 1, max = limits::URL_BYTES), extend("format" = "uri"))]
    pub url: String,
    /// Only runs of this project.
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
    /// The receiver answered 410: nothing is sent any more.
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
    /// For checking signatures: `whsec_` and base64. Shown this once only.
    pub secret: String,
}

word_enum! {
    /// How far a message came.
    DeliveryStatus: "one of pending, delivered, failed" {
        Pending = "pending",
        Delivered = "delivered",
        Failed = "failed",
    }
}

/// A message to a webhook, over all attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// What the receiver sees as `webhook-id`.
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
    /// Absent once nothing more will be tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
    /// HTTP status of the last answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_status: Option<u16>,
    /// Why the last attempt was none that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryAnswer {
    pub delivery: Delivery,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WebhookMessage {
    /// `workspace_run.ended`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it happened.
    pub timestamp: Timestamp,
    pub data: WebhookData,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookData {
    pub workspace_run: WorkspaceRun,
}
