//! `crownest webhooks …`.

use clap::Subcommand;
use schemas::id::{DeliveryId, ProjectId, WebhookId};

use super::projects::PageArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum WebhooksCommand {
    /// Be told at a URL when a run has ended. The secret for checking signatures is shown once, now
    #[command(after_help = "\
Messages follow the Standard Webhooks specification: check `webhook-signature` with the secret and any of its libraries, \
and take each `webhook-id` once.

Example:
  crownest webhooks create https://ci.example.com/crownest --project prj_…")]
    Create {
        /// An https URL that is publicly reachable
        url: String,
        /// Only runs of this project
        #[arg(long, value_name = "PRJ_ID")]
        project: Option<ProjectId>,
    },
    /// List webhooks, newest first
    List(PageArgs),
    /// Delete a webhook and the log of its deliveries
    Delete {
        #[arg(value_name = "WHK_ID")]
        id: WebhookId,
    },
    /// List the messages to a webhook and their outcomes, newest first
    Deliveries {
        #[arg(value_name = "WHK_ID")]
        id: WebhookId,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Send a message again now
    Redeliver {
        #[arg(value_name = "WHD_ID")]
        id: DeliveryId,
    },
}
