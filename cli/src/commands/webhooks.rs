//! `crownest webhooks`.

use std::process::ExitCode;

use schemas::api::webhook::CreateWebhook;

use crate::args::webhooks::WebhooksCommand;
use crate::client::Client;
use crate::failure::Stop;
use crate::output::{Output, Table, field};

pub(crate) async fn run(command: WebhooksCommand, client: &Client, output: &mut Output) -> Result<ExitCode, Stop> {
    match command {
        WebhooksCommand::Create { url, project } => {
            let made = client.create_webhook(&CreateWebhook { url, project_id: project }).await?;
            output.note(&format!("created {}; the secret is shown this once only", field(&made["webhook"], "id")));
            output.result(&made, |made| format!("{}\n", field(made, "secret")))?;
        }
        WebhooksCommand::List(page) => output.page(&client.webhooks(&page).await?, |webhooks| {
            let mut table = Table::new(&["ID", "URL", "PROJECT", "CREATED", "DISABLED"]);
            for webhook in webhooks {
                let cells = ["id", "url", "projectId", "createdAt", "disabledAt"].map(|name| field(webhook, name));
                table.row(&cells.each_ref().map(String::as_str));
            }
            table
        })?,
        WebhooksCommand::Delete { id } => {
            let deleted = client.delete_webhook(&id).await?;
            output.result(&deleted, |_| format!("{id} is deleted.\n"))?;
        }
        WebhooksCommand::Deliveries { id, page } => {
            output.page(&client.deliveries(&id, &page).await?, |deliveries| {
                let mut table = Table::new(&["ID", "RUN", "STATUS", "ATTEMPTS", "LAST", "ANSWER", "ERROR", "NEXT"]);
                for delivery in deliveries {
                    let names = [
                        "id",
                        "workspaceRunId",
                        "status",
                        "attempts",
                        "lastAttemptAt",
                        "responseStatus",
                        "error",
                        "nextAttemptAt",
                    ];
                    let cells = names.map(|name| field(delivery, name));
                    table.row(&cells.each_ref().map(String::as_str));
                }
                table
            })?;
        }
        WebhooksCommand::Redeliver { id } => {
            let delivery = client.redeliver(&id).await?;
            output.result(&delivery, |_| format!("{id} is sent again.\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
