//! `crownest workspace-runs cancel`.

use std::process::ExitCode;

use super::run_record;
use crate::args::workspace_runs::ChangeArgs;
use crate::client::Client;
use crate::client::idempotency::IdempotencyKey;
use crate::failure::Stop;
use crate::output::Output;

pub(super) async fn run(args: ChangeArgs, client: &Client, output: &mut Output) -> Result<ExitCode, Stop> {
    let key = args.idempotency_key.unwrap_or_else(IdempotencyKey::generate);
    let run = client.cancel_run(&args.id, &key).await?;
    output.result(&run, run_record::readable)?;
    Ok(ExitCode::SUCCESS)
}
