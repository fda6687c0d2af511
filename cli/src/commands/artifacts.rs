//! `crownest artifacts get` and `download`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::args::artifacts::{ArtifactsCommand, DownloadArgs};
use crate::atomic_file::AtomicFile;
use crate::client::{Client, Download};
use crate::failure::{Failure, Stop};
use crate::output::{Output, Record, escape, field};

pub(crate) async fn run(command: ArtifactsCommand, client: &Client, output: &mut Output) -> Result<ExitCode, Stop> {
    match command {
        ArtifactsCommand::Get { id } => output.result(&client.artifact(&id).await?, readable)?,
        ArtifactsCommand::Download(args) => download(&args, client, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn readable(artifact: &Value) -> String {
    let mut record = Record::default();
    for (label, name) in [
        ("id", "id"),
        ("name", "name"),
        ("size (bytes)", "sizeBytes"),
        ("sha256", "sha256"),
        ("content type", "contentType"),
        ("source path", "sourcePath"),
        ("run", "workspaceRunId"),
        ("project", "projectId"),
        ("created", "createdAt"),
        ("kept until", "retentionExpiresAt"),
        ("deleted", "deletedAt"),
        ("deleted by", "deletionReason"),
    ] {
        record.line(label, &field(artifact, name));
    }
    record.to_string()
}

async fn download(args: &DownloadArgs, client: &Client, output: &mut Output) -> Result<(), Stop> {
    let artifact = client.artifact(&args.id).await?;
    let to_stdout = args.output.as_deref() == Some(Path::new("-"));
    if to_stdout && output.is_json() {
        return Err(Failure::new("invalid_request", "--json and --output - both want standard output")
            .hint("Give a file to --output.")
            .into());
    }
    let path = match &args.output {
        Some(path) => path.clone(),
        None => own_name(&artifact)?,
    };
    let mut file = if to_stdout { None } else { Some(AtomicFile::create(&path, 0o666)?) };
    let mut download = Download::artifact(client, &args.id).await?;
    while let Some(piece) = download.next().await? {
        match &mut file {
            Some(file) => file.write(&piece)?,
            None => output.raw(&piece)?,
        }
    }
    let (size_bytes, sha256) = download.finish();
    verify(&artifact, size_bytes, &sha256)?;
    let Some(file) = file else { return Ok(()) };
    file.finish()?;
    let path = path.display().to_string();
    let result = json!({"artifact": artifact, "path": path, "sha256": sha256});
    output.result(&result, |_| format!("{}  {} bytes, sha256 {sha256}\n", escape::line(&path), size_bytes))
}

/// A file of this folder; the name was chosen by a run, so neither folders nor existing files are touched.
fn own_name(artifact: &Value) -> Result<PathBuf, Failure> {
    let name = field(artifact, "name");
    let path = Path::new(&name).file_name().map(PathBuf::from);
    let path = path.filter(|path| !path.to_string_lossy().starts_with('.')).ok_or_else(|| {
        Failure::new("file_error", format!("the artifact's name `{name}` is not a plain file name"))
            .hint("Give a file with --output.")
    })?;
    if path.symlink_metadata().is_ok() {
        return Err(Failure::new("file_error", format!("{} exists already", path.display()))
            .hint("Give a file with --output: that one is replaced."));
    }
    Ok(path)
}

fn verify(artifact: &Value, size_bytes: u64, sha256: &str) -> Result<(), Failure> {
    let mismatch = |what, expected: &str, got: &str| {
        Err(Failure::new("checksum_mismatch", format!("the artifact's {what} should be {expected}, but is {got}"))
            .retryable()
            .hint("Do not use the received file; download it again."))
    };
    if let Some(expected) = artifact["sizeBytes"].as_u64().filter(|&expected| expected != size_bytes) {
        return mismatch("size in bytes", &expected.to_string(), &size_bytes.to_string());
    }
    // A server of an older contract tells no digest: then the size is all there is to check.
    if let Some(expected) = artifact["sha256"].as_str().filter(|&expected| expected != sha256) {
        return mismatch("SHA-256", expected, sha256);
    }
    Ok(())
}
