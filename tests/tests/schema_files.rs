//! `infra/database/schema/*.sql` is what a freshly migrated database has: tables are read from its catalogs, functions from
//! the migration that made them last. With `UPDATE_SCHEMA=1` the test writes the files instead of comparing them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use testkit::Lease;
use tokio_postgres::{Client, NoTls};

const SCHEMAS: [&str; 3] = ["ingest", "collector", "metering"];
const COMMAND: &str = "UPDATE_SCHEMA=1 cargo nextest run -p crownest-tests schema_files";
const WIDTH: usize = 120;

/// Functions that the two queries print with.
const PRINT: &str = include_str!("schema_files/print.sql");
/// The tables of a schema, each with its comment, columns and constraints, then its indexes, triggers and grants.
const TABLES: &str = include_str!("schema_files/tables.sql");
const GRANTS: &str = include_str!("schema_files/grants.sql");

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/database").join(name)
}

#[tokio::test]
async fn the_schema_files_are_what_the_migrations_make() {
    let lease = tokio::task::spawn_blocking(Lease::take).await.unwrap();
    let url = lease.access.admin_url.replace("DATABASE", "crownest");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(PRINT).await.unwrap();
    let functions = functions_of_migrations();
    for schema in SCHEMAS {
        let present = present(&client, schema, &functions).await;
        let file = folder("schema").join(format!("{schema}.sql"));
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(&file, present).unwrap();
        } else {
            let written = std::fs::read_to_string(&file).unwrap_or_default();
            assert!(written == present, "{} is not what the migrations make. Run: {COMMAND}", file.display());
        }
    }
}

async fn present(client: &Client, schema: &str, functions: &BTreeMap<String, String>) -> String {
    let mut text = format!(
        "-- Schema `{schema}` as the migrations leave it. Generated, never edited: write a migration, then run\n\
         --     {COMMAND}\n\n"
    );
    let grants = client.query(GRANTS, &[&schema]).await.unwrap();
    let grants_of = |kind: &str| {
        let of_kind = grants.iter().filter(|row| row.get::<_, &str>("kind") == kind);
        let pair = |row: &tokio_postgres::Row| (row.get::<_, String>("name"), row.get::<_, String>("text"));
        of_kind.map(pair).collect::<BTreeMap<_, _>>()
    };
    text.push_str(&grants_of("schema")[schema]);
    text.push('\n');
    for row in client.query(TABLES, &[&schema]).await.unwrap() {
        for line in row.get::<_, &str>("text").lines() {
            writeln!(text, "{}", wrapped(line)).unwrap();
        }
        text.push('\n');
    }
    let sql = "select proname::text from pg_proc where pronamespace = $1::text::regnamespace order by proname";
    let callable = grants_of("function");
    for row in client.query(sql, &[&schema]).await.unwrap() {
        let name = format!("{schema}.{}", row.get::<_, &str>(0));
        let function = functions.get(&name).unwrap_or_else(|| panic!("no migration makes the function {name}"));
        assert_is_present(client, &name, function).await;
        writeln!(text, "{function}{}", callable.get(&name).map_or("", String::as_str)).unwrap();
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// Making the function again, from this text, changes nothing.
async fn assert_is_present(client: &Client, name: &str, function: &str) {
    let definition = format!("select pg_get_functiondef('{name}'::regproc)");
    let before: String = client.query_one(&definition, &[]).await.unwrap().get(0);
    client.batch_execute("begin").await.unwrap();
    client.batch_execute(&function.replace("create function", "create or replace function")).await.unwrap();
    let after: String = client.query_one(&definition, &[]).await.unwrap().get(0);
    client.batch_execute("rollback").await.unwrap();
    assert_eq!(before, after, "{name} was changed after the migration that creates it");
}

/// Each function's last `create function` with the comment above it, by name. A statement ends with the first line that is not
/// indented and ends with a semicolon.
fn functions_of_migrations() -> BTreeMap<String, String> {
    let mut files: Vec<(u32, PathBuf)> = std::fs::read_dir(folder("migrations"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            (name[1..name.find("__").unwrap()].parse().unwrap(), path)
        })
        .collect();
    files.sort();
    let mut functions = BTreeMap::new();
    for (_, path) in files {
        let sql = std::fs::read_to_string(path).unwrap();
        let lines: Vec<&str> = sql.lines().collect();
        for (begin, line) in lines.iter().enumerate() {
            let line = line.replace("create or replace function", "create function");
            let Some(signature) = line.strip_prefix("create function ") else { continue };
            let name = signature[..signature.find('(').unwrap()].to_owned();
            let comment = lines[..begin].iter().rev().take_while(|line| line.starts_with("--")).count();
            let ends = |line: &&str| line.ends_with(';') && !line.starts_with([' ', '-']);
            let end = begin + lines[begin..].iter().position(ends).unwrap();
            let mut text = String::new();
            for line in lines[begin - comment..begin].iter().chain([&line.as_str()]).chain(&lines[begin + 1..=end]) {
                writeln!(text, "{line}").unwrap();
            }
            functions.insert(name, text);
        }
    }
    functions
}

/// Breaks a line that is too long at its commas.
fn wrapped(line: &str) -> String {
    let indent = " ".repeat(line.len() - line.trim_start().len() + 4);
    let (mut text, mut width) = (String::new(), 0);
    for piece in line.split_inclusive(", ") {
        if width + piece.trim_end().len() > WIDTH && width > 0 {
            text.truncate(text.trim_end().len());
            write!(text, "\n{indent}").unwrap();
            width = indent.len();
        }
        text.push_str(piece);
        width += piece.len();
    }
    text
}
