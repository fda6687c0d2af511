//! `crownest workspace-runs run`: packs a folder, then goes on like `run-archive`.

use std::process::ExitCode;

use tokio::task::spawn_blocking;

use super::run_archive;
use crate::archive_file::ArchiveFile;
use crate::args::workspace_runs::RunFolderArgs;
use crate::client::Client;
use crate::failure::{Failure, Stop};
use crate::output::Output;
use crate::pack;

pub(super) async fn run(args: RunFolderArgs, client: &Client, output: &mut Output) -> Result<ExitCode, Stop> {
    let folder = args.folder;
    let packed = spawn_blocking(move || pack::pack(&folder)).await;
    // Removed when this returns; the upload reads it through the open file.
    let packed = packed.map_err(|error| Failure::new("internal_error", format!("packing ended early: {error}")))??;
    let archive = ArchiveFile::open(packed.file.path()).await?;
    output.note(&format!("packed {} files into {} bytes", packed.files, archive.size_bytes));
    run_archive::on_archive(&args.request, &archive, args.no_wait, client, output).await
}
