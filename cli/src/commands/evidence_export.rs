//! `crownest evidence export`.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use verifier::names;

use super::evidence_verify::{Work, show, trust};
use crate::args::evidence_verify::ExportArgs;
use crate::client::Client;
use crate::evidence_folder::EvidenceFolder;
use crate::export;
use crate::failure::{Failure, Stop};
use crate::output::Output;

pub(crate) async fn run(args: &ExportArgs, client: &Client, output: &mut Output) -> Result<ExitCode, Stop> {
    let target = &args.folder;
    let failed = |error: io::Error| Failure::file("write", target, &error);
    check_free(target)?;
    let evidence = super::evidence::fetch(&args.id, client).await?;
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(parent).map_err(failed)?;
    // Complete or not there at all.
    let partial = tempfile::Builder::new()
        .prefix(".crownest-export-")
        .permissions(Permissions::from_mode(0o777))
        .tempdir_in(parent)
        .map_err(failed)?;
    export::fetch(client, &args.id, &evidence, partial.path(), !args.without_artifacts).await?;
    fs::rename(partial.path(), target).map_err(failed)?;
    // It has another name now.
    let _ = partial.keep();
    let work = Work {
        evidence: target.join(names::EVIDENCE),
        trust: trust(None, target, Some(client.connection().api_url.as_str()))?,
        files: EvidenceFolder { folder: target.clone(), archive: None },
        with_artifacts: !args.without_artifacts,
    };
    show(&work.done().await?, output)
}

/// A folder of the user's is never mixed with ours.
fn check_free(target: &Path) -> Result<(), Failure> {
    let occupied = |what| {
        Failure::new("file_error", format!("{} {what}", target.display()))
            .hint("Name a folder that does not exist yet.")
    };
    match fs::read_dir(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(occupied("is not a folder")),
        Err(error) => Err(Failure::file("read", target, &error)),
        Ok(mut entries) => entries.next().map_or(Ok(()), |_| Err(occupied("is not empty"))),
    }
}
