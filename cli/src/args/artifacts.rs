//! `crownest artifacts …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use schemas::id::ArtifactId;

#[derive(Debug, Subcommand)]
pub(crate) enum ArtifactsCommand {
    /// Show an artifact's metadata
    #[command(after_help = "Example:\n  crownest artifacts get art_…")]
    Get {
        #[arg(value_name = "ART_ID")]
        id: ArtifactId,
    },
    /// Download an artifact and check its SHA-256
    #[command(after_help = "\
A broken download goes on where it stopped. A file appears under its name only when it is complete and its \
SHA-256 is right. On standard output the bytes come as they arrive: look at the exit code before using them.

Examples:
  crownest artifacts download art_… --output junit.xml
  crownest artifacts download art_… --output - | tar -xz")]
    Download(DownloadArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DownloadArgs {
    #[arg(value_name = "ART_ID")]
    pub id: ArtifactId,
    /// File to write; - is standard output [default: the artifact's name, here, unless it exists already]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}
