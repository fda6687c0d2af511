//! `crownest usage`.

use std::process::ExitCode;

use serde_json::Value;

use crate::client::Client;
use crate::failure::Stop;
use crate::output::{Output, Record, Table, field};

pub(crate) async fn run(client: &Client, output: &mut Output) -> Result<ExitCode, Stop> {
    let usage = client.usage().await?;
    output.result(&usage, readable)?;
    Ok(ExitCode::SUCCESS)
}

fn readable(usage: &Value) -> String {
    let period = &usage["period"];
    let mut record = Record::default();
    record.line("period", &format!("{} to {}", field(period, "start"), field(period, "end")));
    record.line("resets", &field(period, "resetAt"));
    record.line("compute unit seconds", &field(&usage["computeUnitSeconds"], "used"));
    record.line("credits used", &field(&usage["credits"], "used"));
    record.line("credits left", &field(&usage["credits"], "remaining"));
    record.line("pricing", &field(usage, "pricingVersion"));
    let Some(quotas) = usage["quotas"].as_object().filter(|quotas| !quotas.is_empty()) else {
        return record.to_string();
    };
    let mut table = Table::new(&["QUOTA", "LIMIT", "USED", "LEFT", "RESETS"]);
    for (name, quota) in quotas {
        let [limit, current, remaining, reset] =
            ["limit", "current", "remaining", "resetAt"].map(|member| field(quota, member));
        table.row(&[name, &limit, &current, &remaining, &reset]);
    }
    format!("{record}\n{table}")
}
