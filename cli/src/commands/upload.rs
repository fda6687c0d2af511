//! `crownest workspace-runs upload`.

use std::process::ExitCode;

use super::run_record;
use crate::archive_file::ArchiveFile;
use crate::args::workspace_runs::UploadArgs;
use crate::client::Client;
use crate::client::idempotency::IdempotencyKey;
use crate::failure::Stop;
use crate::output::Output;

pub(super) async fn run(args: UploadArgs, client: &Client, output: &mut Output) -> Result<ExitCode, Stop> {
    let archive = ArchiveFile::open(&args.file).await?;
    let key = args.change.idempotency_key.unwrap_or_else(IdempotencyKey::generate);
    let bar = output.upload_bar(archive.size_bytes);
    let answer = client.upload_archive(&args.change.id, &archive, &key, &bar).await;
    bar.finish_and_clear();
    output.result(&answer?, |answer| run_record::readable(&answer["workspaceRun"]))?;
    Ok(ExitCode::SUCCESS)
}
