//! The gain from the Parquet tables: questions about many runs, asked of the table and of the same Evidence Bundles as
//! JSON, by the same DuckDB in the same minute.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Context;
use collector::lake::TableWriter;
use schemas::lake::{Row as _, RunRow};
use sha2::{Digest as _, Sha256};
use testkit::generated;
use time::macros::date;

use crate::statistics::median;

const FIRST_DAY: time::Date = date!(2026 - 01 - 01);
const DAYS: u64 = 30;

/// A question, and how each side has its data. The JSON side is told what it needs and its types: it guesses nothing.
struct Question {
    name: &'static str,
    sql: &'static str,
    json: &'static str,
}

const QUESTIONS: [Question; 2] = [
    Question {
        name: "failure reasons by template",
        sql: "select template_slug, template_version, coalesce(failure_reason, outcome) as reason, count(*) as runs
              from runs group by all order by all",
        json: "select template.slug as template_slug, template.version as template_version,
                   failureReason as failure_reason, outcome
               from read_ndjson('FOLDER/json/*.ndjson', columns = {outcome: 'VARCHAR', failureReason: 'VARCHAR',
                   template: 'STRUCT(slug VARCHAR, version VARCHAR)'})",
    },
    Question {
        name: "slowest repositories",
        sql: "select source_metadata->>'$.repository' as repository, count(*) as runs,
                  quantile_disc(duration_ms, 0.95) as p95_ms
              from runs group by all order by p95_ms desc, repository limit 50",
        json: "select sourceMetadata as source_metadata, durationMs as duration_ms
               from read_ndjson('FOLDER/json/*.ndjson', columns = {sourceMetadata: 'JSON', durationMs: 'BIGINT'})",
    },
];

#[expect(clippy::print_stdout, reason = "a report for people")]
pub(crate) fn measure(runs: u64, rounds: usize) -> anyhow::Result<()> {
    let duckdb = local::installed("CROWNEST_DUCKDB", "duckdb").context("run infra/setup.sh")?;
    let folder = tempfile::Builder::new().prefix("crownest-bench-").tempdir()?;
    let path = folder.path();
    println!("{runs} runs of {DAYS} days, as table and as bundles in NDJSON files");
    let (table_bytes, json_bytes) = generate(path, runs)?;
    println!("  bytes: table {table_bytes}, JSON {json_bytes}, ratio {:.4}", ratio(table_bytes, json_bytes));
    let view = "select * from read_parquet('FOLDER/runs/**/*.parquet', hive_partitioning = true)";
    for Question { name, sql, json } in &QUESTIONS {
        let script = |source: &str| {
            let source = source.replace("FOLDER", &path.display().to_string());
            format!("create view runs as {source}; {sql};")
        };
        let (table, json) = (script(view), script(json));
        // Both sides once, unmeasured: the files are in memory then.
        anyhow::ensure!(ask(&duckdb, &table)?.1 == ask(&duckdb, &json)?.1, "{name}: both sides answer the same");
        let (mut table_seconds, mut json_seconds) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            table_seconds.push(ask(&duckdb, &table)?.0);
            json_seconds.push(ask(&duckdb, &json)?.0);
        }
        let (table, json) = (median(&table_seconds), median(&json_seconds));
        println!("  {name}, seconds (median of {rounds}): table {table:.3}, JSON {json:.3}, ratio {:.1}", json / table);
    }
    println!();
    Ok(())
}

/// Writes both, and returns how large they are.
#[expect(clippy::print_stdout, reason = "a report for people")]
fn generate(folder: &Path, runs: u64) -> anyhow::Result<(u64, u64)> {
    fs::create_dir(folder.join("json"))?;
    let (mut table_bytes, mut json_bytes, mut table_seconds) = (0, 0, 0.0);
    for day in 0..DAYS {
        let date = FIRST_DAY + time::Duration::days(day.cast_signed());
        let mut json = BufWriter::new(File::create(folder.join(format!("json/{date}.ndjson")))?);
        let mut table = TableWriter::new(&RunRow::TABLE, "generated")?;
        for number in (day..runs).step_by(usize::try_from(DAYS)?) {
            let bundle = generated::bundle(number, date);
            let mut bytes = schemas::canonical::to_vec(&bundle)?;
            let digest = hex::encode(Sha256::digest(&bytes));
            bytes.push(b'\n');
            json.write_all(&bytes)?;
            json_bytes += bytes.len() as u64;
            let begun = Instant::now();
            table.push(RunRow::of(&bundle, "runs/evidence.json", &digest, 0).values())?;
            table_seconds += begun.elapsed().as_secs_f64();
        }
        json.flush()?;
        let begun = Instant::now();
        let table = table.finish()?;
        table_seconds += begun.elapsed().as_secs_f64();
        let partition = folder.join(format!("runs/date={date}"));
        fs::create_dir_all(&partition)?;
        fs::write(partition.join("0000000001-0000000001.parquet"), &table.bytes)?;
        table_bytes += table.bytes.len() as u64;
    }
    #[expect(clippy::cast_precision_loss, reason = "a few million")]
    let rows = runs as f64;
    println!("  rows to Parquet: {:.0} per second", rows / table_seconds);
    Ok((table_bytes, json_bytes))
}

/// Seconds, and the answer.
fn ask(duckdb: &Path, script: &str) -> anyhow::Result<(f64, Vec<u8>)> {
    let begun = Instant::now();
    let asked = Command::new(duckdb)
        .args(["-init", "/dev/null", "-batch", "-bail", "-csv", "-c", script])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    anyhow::ensure!(asked.status.success() && !asked.stdout.is_empty(), "duckdb: {}", asked.status);
    Ok((begun.elapsed().as_secs_f64(), asked.stdout))
}

#[expect(clippy::cast_precision_loss, reason = "a few gigabytes")]
fn ratio(one: u64, other: u64) -> f64 {
    one as f64 / other as f64
}
