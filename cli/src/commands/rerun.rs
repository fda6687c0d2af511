//! `crownest workspace-runs rerun`: a new run like an earlier one, on the archive that the server still has.

use std::path::Path;
use std::process::ExitCode;

use schemas::api::archive::DeclaredArchive;
use schemas::api::run::{CreateRun, WorkspaceRun};
use schemas::env::EnvValues;
use schemas::id::RunId;
use schemas::run::RunStatus;
use serde_json::Value;

use super::run_archive;
use super::submit::{Submitted, save_id};
use crate::args::workspace_runs::RerunArgs;
use crate::client::Client;
use crate::client::idempotency::IdempotencyKey;
use crate::failure::{Failure, Stop};
use crate::interrupt::Interrupt;
use crate::output::{Output, field};

pub(super) async fn run(args: &RerunArgs, client: &Client, output: &mut Output) -> Result<ExitCode, Stop> {
    let earlier = client.run(&args.again.id).await?;
    let request = same_again(earlier, args.env.read()?)?;
    let key = args.again.idempotency_key.clone().unwrap_or_else(IdempotencyKey::generate);
    let interrupt = Interrupt::listen(client, output.is_json())?;
    let submitted = tokio::select! {
        submitted = submit(&request, args.id_file.as_deref(), &key, client, &interrupt, output) => Some(submitted),
        () = interrupt.first() => None,
    };
    run_archive::stream(submitted, &interrupt, args.no_wait, client, output).await
}

fn same_again(earlier: Value, env: Option<EnvValues>) -> Result<CreateRun, Failure> {
    let earlier: WorkspaceRun = serde_json::from_value(earlier)
        .map_err(|error| Failure::invalid_answer(format!("expected a workspace run: {error}")))?;
    check_env(&earlier, env.as_ref())?;
    let archive = earlier.archive.ok_or_else(|| {
        Failure::new("upload_missing", format!("{} has no archive that could be run again", earlier.id))
            .hint("Use `crownest workspace-runs run-archive` with the archive.")
    })?;
    Ok(CreateRun {
        command: earlier.command,
        template_version_id: Some(earlier.template_version_id),
        project_id: Some(earlier.project_id),
        artifacts: earlier.artifacts,
        metadata: Some(earlier.metadata),
        source_metadata: earlier.source_metadata,
        env,
        timeout_ms: earlier.timeout_ms,
        network: earlier.network,
        batch_id: earlier.batch_id,
        archive: Some(DeclaredArchive { sha256: archive.sha256, size_bytes: archive.size_bytes }),
        start: Some(true),
        ..CreateRun::default()
    })
}

/// Nobody can read the earlier values: without them the command would not be the same.
fn check_env(earlier: &WorkspaceRun, given: Option<&EnvValues>) -> Result<(), Failure> {
    let given = given.map(EnvValues::names).unwrap_or_default();
    let missing: Vec<&str> =
        earlier.env_keys.iter().flatten().filter(|name| !given.contains(name)).map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("{} had environment variables whose values cannot be read back", earlier.id);
    let flags: Vec<String> = missing.iter().map(|name| format!("--env {name}")).collect();
    Err(Failure::new("env_required", format!("{message}: {}", missing.join(", ")))
        .hint(format!("Give them again, from your environment or with =VALUE: {}", flags.join(" "))))
}

async fn submit(
    request: &CreateRun,
    id_file: Option<&Path>,
    key: &IdempotencyKey,
    client: &Client,
    interrupt: &Interrupt,
    output: &mut Output,
) -> Result<Submitted, Failure> {
    let run = client.create_run(request, &key.step("create")).await?;
    let id: RunId = field(&run, "id").parse().map_err(|error| Failure::invalid_answer(format!("{error}")))?;
    interrupt.set_run(&id);
    if field(&run, "status") == RunStatus::AwaitingArchive.as_str() {
        let _ = client.cancel_run(&id, &key.step("cancel")).await;
        return Err(Failure::new("upload_missing", "the archive of that run cannot be used again without sending it")
            .hint("It is not stored any more, or this key is limited to projects: use run-archive with the archive."));
    }
    output.note(&format!("created {id}"));
    if let Some(path) = id_file {
        save_id(&id, path)?;
    }
    Ok(Submitted { id, run })
}
