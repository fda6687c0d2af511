//! From an archive on disk to a started run: create, and if the server does not know the archive, upload and start.
//! With a key that was used before it goes on with the run of that time.

use std::path::Path;

use schemas::id::RunId;
use schemas::run::RunStatus;
use serde_json::Value;

use crate::archive_file::ArchiveFile;
use crate::args::run_request::RunRequestArgs;
use crate::atomic_file::AtomicFile;
use crate::client::Client;
use crate::client::idempotency::IdempotencyKey;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::output::{Output, field};

/// The run, at least started.
#[derive(Debug)]
pub(super) struct Submitted {
    pub id: RunId,
    pub run: Value,
}

pub(super) async fn submit(
    args: &RunRequestArgs,
    archive: &ArchiveFile,
    client: &Client,
    interrupt: &Interrupt,
    output: &mut Output,
) -> Result<Submitted, Failure> {
    let key = args.idempotency_key.clone().unwrap_or_else(IdempotencyKey::generate);
    let request = args.to_request_with(archive)?;
    let created = client.create_run(&request, &key.step("create")).await?;
    let id: RunId = field(&created, "id").parse().map_err(|error| Failure::invalid_answer(format!("{error}")))?;
    interrupt.set_run(&id);
    output.note(&format!("created {id}"));
    if let Some(path) = &args.id_file {
        save_id(&id, path)?;
    }

    // A repeated request answers with the run as it was; only then it may have moved on.
    let run = if args.idempotency_key.is_some() { client.run(&id).await? } else { created };
    match upload_and_start(&id, run, archive, &key, client, output).await {
        Ok(run) => Ok(Submitted { id, run }),
        Err(failure) => {
            if args.idempotency_key.is_none() {
                // Nobody can go on with it: end it, rather than leaving it to wait for an archive or a start.
                let _ = client.cancel_run(&id, &key.step("cancel")).await;
            }
            Err(named(failure, &id))
        }
    }
}

async fn upload_and_start(
    id: &RunId,
    mut run: Value,
    archive: &ArchiveFile,
    key: &IdempotencyKey,
    client: &Client,
    output: &mut Output,
) -> Result<Value, Failure> {
    if status_of(&run)? == RunStatus::AwaitingArchive {
        let bar = output.upload_bar(archive.size_bytes);
        let uploaded = client.upload_archive(id, archive, key, &bar).await;
        bar.finish_and_clear();
        run = uploaded?["workspaceRun"].take();
    } else if run["archive"]["sha256"].as_str().is_some_and(|sha256| sha256 != archive.sha256) {
        return Err(Failure::new("idempotency_key_reused", format!("{id} has this key, but another archive"))
            .hint("Use another --idempotency-key for another archive."));
    }
    if status_of(&run)? == RunStatus::ArchiveUploaded {
        run = client.start_run(id, &key.step("start")).await?;
    }
    Ok(run)
}

/// Tells the id of the run, so that others can go on with it if this process ends early.
pub(super) fn save_id(id: &RunId, path: &Path) -> Result<(), Failure> {
    let mut file = AtomicFile::create(path, 0o666)?;
    file.write(format!("{id}\n").as_bytes())?;
    file.finish()
}

fn status_of(run: &Value) -> Result<RunStatus, Failure> {
    field(run, "status").parse().map_err(|error| Failure::invalid_answer(format!("{error}")))
}

/// The failure says which run it is about.
fn named(mut failure: Failure, id: &RunId) -> Failure {
    failure.message = format!("{id}: {}", failure.message);
    failure
}
