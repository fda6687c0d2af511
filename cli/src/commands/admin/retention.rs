//! `crownest admin retention`: how long artifacts are kept.

use database::Client;
use ingest::admin;
use serde_json::json;

use super::written;
use crate::args::admin::retention::RetentionCommand;
use crate::failure::Stop;
use crate::output::{Output, Table};

pub(super) async fn run(command: RetentionCommand, client: &Client, output: &mut Output) -> Result<(), Stop> {
    match command {
        RetentionCommand::List => {
            let (plans, projects) = admin::retention(client).await?;
            let found = json!({ "plans": written(&plans), "projects": written(&projects) });
            output.result(&found, |_| {
                let mut table = Table::new(&["PLAN OR PROJECT", "ORGANIZATION", "ARTIFACTS", "CHANGED"]);
                for plan in &plans {
                    table.row(&[&plan.plan, "", &shown(plan.artifact_seconds), ""]);
                }
                for of in &projects {
                    let (kept, changed) = (shown(of.artifact_seconds), of.changed_at.to_string());
                    table.row(&[of.project_id.as_str(), of.org_id.as_str(), &kept, &changed]);
                }
                table.to_string()
            })
        }
        RetentionCommand::Set { project, artifacts } => {
            admin::set_project_retention(client, &project, Some(artifacts)).await?;
            let seconds = artifacts.as_secs();
            output.result(&json!({ "projectId": project, "artifactSeconds": seconds }), |_| {
                format!("Artifacts of runs of {project} that end from now on are kept for {}.\n", shown(seconds))
            })
        }
        RetentionCommand::Clear { project } => {
            admin::set_project_retention(client, &project, None).await?;
            output.result(&json!({ "projectId": project }), |_| {
                format!("Artifacts of runs of {project} that end from now on are kept as the plan says.\n")
            })
        }
        RetentionCommand::SetPlan { plan, artifacts } => {
            admin::set_plan_retention(client, &plan, artifacts).await?;
            let seconds = artifacts.as_secs();
            output.result(&json!({ "plan": plan, "artifactSeconds": seconds }), |_| {
                format!("The plan {plan} keeps artifacts of runs that end from now on for {}.\n", shown(seconds))
            })
        }
    }
}

/// In the largest unit that gives a whole number, as it may be written.
fn shown(seconds: u64) -> String {
    let units = [(86_400, 'd'), (3_600, 'h'), (60, 'm')];
    let whole = units.into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit));
    let (unit, name) = whole.unwrap_or((1, 's'));
    format!("{}{name}", seconds / unit)
}
