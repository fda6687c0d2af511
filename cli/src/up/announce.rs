//! Tells where the running system is, for people and for programs.

use std::path::Path;
use std::process::ExitCode;

use super::state::State;
use crate::failure::{Failure, Stop};
use crate::output::Output;

/// Says where everything is.
pub(super) fn announce(headline: &str, state: &State, output: &mut Output) -> Result<(), Stop> {
    let iceberg = state.iceberg.as_ref().map(|catalog| format!("  iceberg   {catalog}\n")).unwrap_or_default();
    let text = format!(
        "{headline}\n  API       {}\n  key       {}\n  data      {}\n{iceberg}  log       {}\n  stop      crownest down --data {}\n",
        state.api_url,
        state.key_file.display(),
        state.data.display(),
        state.log_file.as_ref().map_or("this terminal".into(), |path| path.display().to_string()),
        state.data.display(),
    );
    output.result(&serde_json::json!(state), |_| text)
}

pub(super) fn already_running(data: &Path, output: &mut Output) -> Result<ExitCode, Stop> {
    match State::of_running(data)? {
        Some(state) => {
            announce("CrowNest is running on this data already; nothing was started.", &state, output)?;
            Ok(ExitCode::SUCCESS)
        }
        None => Err(Failure::new("starting", "CrowNest is starting or stopping on this data right now")
            .hint("Wait a moment, then run `crownest status`.")
            .retryable()
            .into()),
    }
}
