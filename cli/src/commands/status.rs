//! `crownest workspace-runs status`.

use std::process::ExitCode;

use schemas::id::RunId;

use super::run_record;
use crate::client::Client;
use crate::failure::Stop;
use crate::output::Output;

pub(super) async fn run(id: &RunId, client: &Client, output: &mut Output) -> Result<ExitCode, Stop> {
    output.result(&client.run(id).await?, run_record::readable)?;
    Ok(ExitCode::SUCCESS)
}
