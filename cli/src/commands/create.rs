//! `crownest workspace-runs create`.

use std::process::ExitCode;

use super::run_record;
use crate::args::run_request::RunRequestArgs;
use crate::client::Client;
use crate::client::idempotency::IdempotencyKey;
use crate::failure::Stop;
use crate::output::Output;

pub(super) async fn run(args: RunRequestArgs, client: &Client, output: &mut Output) -> Result<ExitCode, Stop> {
    let request = args.to_request();
    let key = args.idempotency_key.unwrap_or_else(IdempotencyKey::generate);
    let run = client.create_run(&request, &key).await?;
    output.result(&run, run_record::readable)?;
    Ok(ExitCode::SUCCESS)
}
