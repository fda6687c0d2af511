//! `crownest workspace-runs list`.

use std::process::ExitCode;

use serde_json::Value;

use super::run_record::duration;
use crate::args::workspace_runs::ListArgs;
use crate::client::Client;
use crate::failure::Stop;
use crate::output::{Output, Table, field};

pub(super) async fn run(args: &ListArgs, client: &Client, output: &mut Output) -> Result<ExitCode, Stop> {
    let page = client.runs(args).await?;
    output.page(&page, table)?;
    Ok(ExitCode::SUCCESS)
}

fn table(runs: &[Value]) -> Table {
    let mut table = Table::new(&["ID", "STATUS", "EXIT", "REASON", "TEMPLATE", "CREATED", "DURATION", "COMMAND"]);
    for run in runs {
        let [id, status, exit, reason, template, created, command] =
            ["id", "status", "exitCode", "failureReason", "templateSlug", "createdAt", "command"]
                .map(|name| field(run, name));
        table.row(&[&id, &status, &exit, &reason, &template, &created, &duration(run), &command]);
    }
    table
}
