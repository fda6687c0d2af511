//! Runs SQL with the DuckDB command line: one view for each table, then the query.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use schemas::lake::{FileName, TABLES, Table};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use super::Folder;
use crate::args::tables::Format;
use crate::failure::{Failure, Stop};
use crate::output::{Output, escape};

const VARIABLE: &str = "CROWNEST_DUCKDB";

fn program() -> Result<PathBuf, Failure> {
    local::installed(VARIABLE, "duckdb").ok_or_else(|| {
        let message = "`duckdb`, the command line of DuckDB, is not installed";
        Failure::new("no_duckdb", message).hint(format!(
            "Install it with infra/setup.sh, `pip install duckdb-cli` or `brew install duckdb`, or name it in {VARIABLE}."
        ))
    })
}

pub(crate) async fn run(
    folder: &Folder,
    files: &[FileName],
    sql: &str,
    format: Format,
    output: &mut Output,
) -> Result<(), Stop> {
    let script = format!("{}{sql}\n;\n", views(folder, files));
    let mode = match (format, output.is_json()) {
        (_, true) | (Format::Json, _) => "-json",
        (Format::Table, _) => "-box",
        (Format::Csv, _) => "-csv",
        (Format::Jsonl, _) => "-jsonlines",
    };
    let mut child = Command::new(program()?)
        // Not what the user's ~/.duckdbrc would make of it.
        .args(["-init", "/dev/null", "-batch", "-bail", mode])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Failure::new("no_duckdb", format!("`duckdb` cannot be started: {error}")))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut stdin), Some(stdout), Some(mut stderr)) = (stdin, stdout, stderr) else {
        return Err(Failure::new("internal_error", "duckdb has no pipes").into());
    };
    let feed = async {
        // It may end before it has read everything; its exit code says why.
        let _ = stdin.write_all(script.as_bytes()).await;
        drop(stdin);
        Ok(())
    };
    let mut problems = String::new();
    let listen = async {
        let _ = stderr.read_to_string(&mut problems).await;
        Ok(())
    };
    tokio::try_join!(feed, listen, print(stdout, format, output))?;
    let status = child.wait().await.map_err(|error| Failure::new("query_failed", error.to_string()))?;
    if status.success() {
        return Ok(());
    }
    let problems = if problems.trim().is_empty() { format!("duckdb: {status}") } else { problems };
    Err(Failure::new("query_failed", problems.trim())
        .hint("Tables: runs, attempts, artifacts, tests, usage, events_index; `describe runs` lists columns.")
        .into())
}

async fn print(mut stdout: impl tokio::io::AsyncRead + Unpin, format: Format, output: &mut Output) -> Result<(), Stop> {
    if output.is_json() {
        let mut text = Vec::new();
        stdout.read_to_end(&mut text).await?;
        if text.trim_ascii().is_empty() {
            // It failed, or there was nothing to answer.
            return Ok(());
        }
        let value = serde_json::from_slice(&text).map_err(|error| {
            Failure::new("query_failed", format!("the answer is not JSON: {error}"))
                .hint("With --json, ask one question at a time.")
        })?;
        return output.json_line(&value);
    }
    if format == Format::Table {
        let mut lines = BufReader::new(stdout).lines();
        while let Some(line) = lines.next_line().await? {
            // What runs wrote must not drive the terminal.
            output.text(&format!("{}\n", escape::line(&line)))?;
        }
        return Ok(());
    }
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = stdout.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        output.raw(&buffer[..read])?;
    }
}

fn views(folder: &Folder, files: &[FileName]) -> String {
    let mut script = "set TimeZone = 'UTC';\n".to_owned();
    for table in TABLES {
        let of_table = files.iter().filter(|file| file.table == table.name);
        let paths: Vec<String> = of_table.map(|file| literal(&folder.file(file))).collect();
        let source = if paths.is_empty() { empty(table) } else { parquet(&paths) };
        let _ = writeln!(script, "create view {} as {source};", table.name);
    }
    script
}

/// Older files may lack columns.
fn parquet(paths: &[String]) -> String {
    format!(
        "select * from read_parquet([{}], hive_partitioning = true, hive_types = {{'date': date}}, union_by_name = true)",
        paths.join(", ")
    )
}

/// No run has anything for this table yet.
fn empty(table: &Table) -> String {
    let columns = table.columns.iter().map(|column| format!("null::{} as {}", column.kind.sql(), column.name));
    format!("select {}, null::date as date where false", columns.collect::<Vec<_>>().join(", "))
}

fn literal(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "''"))
}
