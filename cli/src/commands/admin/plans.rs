//! `crownest admin plans`: what plans allow, as far as operators change it here.

use database::Client;
use ingest::admin;
use schemas::artifact::ArtifactLimits;
use serde_json::json;

use super::written;
use crate::args::admin::plans::PlansCommand;
use crate::failure::Stop;
use crate::output::{Output, Table};

pub(super) async fn run(command: PlansCommand, client: &Client, output: &mut Output) -> Result<(), Stop> {
    match command {
        PlansCommand::List => {
            let plans = admin::plan_artifact_limits(client).await?;
            output.result(&written(&plans), |_| {
                let mut table = Table::new(&["PLAN", "ARTIFACT BYTES", "RUN BYTES", "ARTIFACTS", "COLLECTION MS"]);
                for (plan, limits) in &plans {
                    let ArtifactLimits { artifact_bytes, run_bytes, artifacts, collection_ms } = *limits;
                    let [bytes, run, number, ms] = [artifact_bytes, run_bytes, artifacts, collection_ms].map(shown);
                    table.row(&[plan.as_str(), &bytes, &run, &number, &ms]);
                }
                table.to_string()
            })
        }
        PlansCommand::SetArtifacts { plan, artifact_bytes, run_bytes, artifacts, collection_ms } => {
            let limits = ArtifactLimits { artifact_bytes, run_bytes, artifacts, collection_ms };
            admin::set_plan_artifact_limits(client, &plan, limits).await?;
            output.result(&json!({ "plan": plan, "artifactLimits": limits }), |_| {
                format!("The plan {plan} has these bounds for the artifacts of runs that are started from now on.\n")
            })
        }
    }
}

/// An absent bound is the executor's.
fn shown(bound: Option<u64>) -> String {
    bound.map_or_else(|| "executor's".to_owned(), |bound| bound.to_string())
}
