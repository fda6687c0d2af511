//! `crownest projects …`, and the flags of every list.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectsCommand {
    /// List the projects that the key may see, newest first
    #[command(after_help = "Example:\n  crownest projects list --all")]
    List(PageArgs),
}

#[derive(Debug, Default, Args)]
pub(crate) struct PageArgs {
    /// Entries per page, 1 to 500 [default: 50, with --all 500]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500))]
    pub limit: Option<u32>,
    /// Go on after an earlier page: its nextCursor
    #[arg(long, value_name = "CURSOR")]
    pub cursor: Option<String>,
    /// Fetch all pages
    #[arg(long)]
    pub all: bool,
}
