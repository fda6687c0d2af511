//! `crownest tables`.

use std::process::ExitCode;

use serde_json::json;

use crate::args::tables::TablesCommand;
use crate::failure::Stop;
use crate::lake::{Folder, Synced, sync};
use crate::object_store;
use crate::output::Output;

pub(crate) async fn run(command: TablesCommand, output: &mut Output) -> Result<ExitCode, Stop> {
    let TablesCommand::Sync { folder, data, store } = command;
    let store = object_store::open(store, &data)?;
    let folder = Folder::create(&folder)?;
    let Synced { files, fetched, fetched_bytes, deleted, .. } = sync(&store, &folder).await?;
    let result = json!({
        "folder": folder.path(), "files": files.len(), "fetched": fetched, "fetchedBytes": fetched_bytes, "deleted": deleted,
    });
    output.result(&result, |_| {
        let (count, path) = (files.len(), folder.path().display());
        format!("{count} files in {path}: {fetched} fetched ({fetched_bytes} bytes), {deleted} deleted.\n")
    })?;
    Ok(ExitCode::SUCCESS)
}
