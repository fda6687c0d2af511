//! `crownest workspace-runs create`.

use std::process::ExitCode;

use super::run_record;
use super::submit::save_id;
use crate::args::run_request::RunRequestArgs;
use crate::client::Client;
use crate::client::idempotency::IdempotencyKey;
use crate::failure::{Failure, Stop};
use crate::output::{Output, field};

pub(super) async fn run(args: RunRequestArgs, client: &Client, output: &mut Output) -> Result<ExitCode, Stop> {
    let request = args.to_request()?;
    let key = args.idempotency_key.unwrap_or_else(IdempotencyKey::generate);
    let run = client.create_run(&request, &key).await?;
    if let Some(path) = &args.id_file {
        let id = field(&run, "id").parse().map_err(|error| Failure::invalid_answer(format!("{error}")))?;
        save_id(&id, path)?;
    }
    output.result(&run, run_record::readable)?;
    Ok(ExitCode::SUCCESS)
}
