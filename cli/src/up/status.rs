//! `crownest status`: whether the system on this data runs, and whether each service is ready.

use std::fmt::Write;
use std::process::ExitCode;

use local::Servers;
use serde_json::{Value, json};

use super::readiness::Readiness;
use super::state::State;
use crate::args::up::DataArgs;
use crate::failure::{Failure, Stop};
use crate::output::Output;

/// Exit code 0 only if everything is ready.
pub(crate) async fn run(args: &DataArgs, output: &mut Output) -> Result<ExitCode, Stop> {
    let data = args.folder();
    let Some(state) = State::of_running(&data)? else {
        let (word, text) = match Servers::holder(&data) {
            Some(_) => ("starting", "CrowNest is starting or stopping.\n"),
            None => ("stopped", "CrowNest is not running. Start it with `crownest up --detach`.\n"),
        };
        output.result(&json!({ "status": word, "data": data }), |_| text.to_owned())?;
        return Ok(ExitCode::FAILURE);
    };
    let readiness = Readiness::new().map_err(|error| Failure::new("internal_error", error.to_string()))?;
    let mut services = Vec::new();
    let mut all_ready = true;
    let mut text = format!("CrowNest is running as process {} since {}.\n", state.pid, state.started_at);
    let _ = writeln!(text, "  API        {}", state.api_url);
    if let Some(catalog) = &state.iceberg {
        let _ = writeln!(text, "  iceberg    {catalog}");
    }
    for operations in &state.operations {
        let (ready, detail) = match readiness.of(operations).await {
            Ok(()) => (true, "ready".to_owned()),
            Err(reason) => (false, reason),
        };
        all_ready &= ready;
        let _ = writeln!(text, "  {:<10} {detail} ({}/metrics)", operations.service, operations.url);
        services
            .push(json!({ "service": operations.service, "url": operations.url, "ready": ready, "detail": detail }));
    }
    let mut result = json!(state);
    result["status"] = if all_ready { "ready" } else { "degraded" }.into();
    result["services"] = Value::Array(services);
    output.result(&result, |_| text)?;
    Ok(if all_ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
