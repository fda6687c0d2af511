//! `crownest query` and `crownest tables …`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::store::StoreArgs;
use crate::args::up::DataArgs;

pub(crate) const QUERY_HELP: &str = "\
Tables: runs, attempts, artifacts, tests, usage, events_index; docs/reference/tables.md explains their columns and has ready queries.
They have the runs of all organizations, so this reads the object store itself, without an API key: by default that of the
system that `crownest up` runs here. A run is there within a minute of its end. New files are fetched into a cache first.
The query is run by DuckDB's command line, `duckdb`, in $CROWNEST_DUCKDB, /opt/crownest/bin, ~/.local/share/crownest/bin
or PATH (infra/setup.sh and `pip install duckdb-cli` install it). Without SQL, it is read from standard input.

Examples:
  crownest query \"select outcome, count(*) from runs group by all\"
  crownest query --format csv \"from tests where status = 'failed'\" > failed.csv
  crownest query --tables ./lake < question.sql";

#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// One or more statements [default: standard input]
    #[arg(value_name = "SQL")]
    pub sql: Option<String>,
    /// Folder that `crownest tables sync` filled, instead of the object store
    #[arg(long, value_name = "DIR")]
    pub tables: Option<PathBuf>,
    /// Form of the answer; --json prints one line `{"data":[…]}`
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: Format,
    #[command(flatten)]
    pub data: DataArgs,
    #[command(flatten)]
    pub store: StoreArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    Csv,
    /// An array of objects
    Json,
    /// One object on each line
    Jsonl,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TablesCommand {
    /// Make a folder equal to the tables in the object store: fetch new files, delete replaced ones
    #[command(after_help = "\
Files get the names of their objects, DIR/tables/<table>/date=…/….parquet, and never change. Each run is in them once.
Another sync fetches only new files. Other files in the folder are left alone.

Examples:
  crownest tables sync ./lake
  crownest query --tables ./lake \"select count(*) from runs\"")]
    Sync {
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        store: StoreArgs,
    },
}
