//! `crownest query`.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use infra::s3::{self, S3Config};
use sha2::{Digest as _, Sha256};

use crate::args::tables::QueryArgs;
use crate::failure::{Failure, Stop};
use crate::lake::{Folder, duckdb, sync};
use crate::object_store;
use crate::output::Output;

pub(crate) async fn run(args: QueryArgs, output: &mut Output) -> Result<ExitCode, Stop> {
    let QueryArgs { sql, tables, format, data, store } = args;
    let sql = match sql {
        Some(sql) => sql,
        None => from_stdin()?,
    };
    if let Some(folder) = tables {
        let folder = Folder::existing(&folder)?;
        duckdb::run(&folder, &folder.current()?, &sql, format, output).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let config = object_store::config(store, &data)?;
    let folder = Folder::create(&cache(&config)?)?;
    let synced = sync(&s3::open(&config), &folder).await?;
    // Others may ask at the same time, but not change the files.
    synced.lock.lock_shared().map_err(|error| Failure::file("lock", folder.path(), &error))?;
    if synced.fetched > 0 {
        output.note(&format!("fetched {} files ({} bytes)", synced.fetched, synced.fetched_bytes));
    }
    duckdb::run(&folder, &synced.files, &sql, format, output).await?;
    Ok(ExitCode::SUCCESS)
}

fn from_stdin() -> Result<String, Stop> {
    let mut sql = String::new();
    std::io::stdin()
        .read_to_string(&mut sql)
        .map_err(|error| Failure::new("input_error", format!("the SQL cannot be read from standard input: {error}")))?;
    Ok(sql)
}

/// A folder for the tables of this bucket.
fn cache(config: &S3Config) -> Result<PathBuf, Failure> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let caches = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()).or_else(home);
    let caches = caches.ok_or_else(|| {
        Failure::new("no_cache", "neither XDG_CACHE_HOME nor HOME says where to keep the tables")
            .hint("Use `crownest tables sync DIR` and `crownest query --tables DIR`.")
    })?;
    let bucket = Sha256::digest(format!("{}\n{}", config.s3_endpoint, config.s3_bucket));
    Ok(caches.join("crownest/tables").join(&hex::encode(bucket)[..16]))
}
