//! The files of a chunk in the object store, one for each table: written once, never changed.

use anyhow::Context as _;
use infra::s3::{Put, Store, StoreError};
use schemas::lake::{FileName, Row, RunRow, TABLES, Table};
use sha2::{Digest, Sha256};

use super::evidence::RunRows;
use super::parquet_file::{self, TableFile, TableWriter};
use crate::db::lake_files::{Chunks, Rows, Written};

const CONTENT_TYPE: &str = "application/vnd.apache.parquet";

/// A file of each table, in the order in which they are to be written.
#[derive(Debug)]
pub(super) struct Files(Vec<(&'static Table, TableFile)>);

pub(super) fn name(table: &'static Table, chunks: Chunks) -> FileName {
    let Chunks { date, first, last } = chunks;
    FileName { table: table.name, date, first_batch: first, last_batch: last }
}

/// The file of `runs` is written even without rows: it says that the chunk is complete.
fn is_needed(table: &Table, rows: u64) -> bool {
    rows > 0 || table.name == RunRow::TABLE.name
}

impl Files {
    /// Makes the files of these runs; `members` identifies the runs.
    pub(super) fn of(runs: impl IntoIterator<Item = RunRows>, members: &str) -> anyhow::Result<Self> {
        let mut writers = Writers::new(members)?;
        for run in runs {
            writers.push(run.artifacts)?;
            writers.push(run.attempts)?;
            writers.push(run.events_index)?;
            writers.push(run.tests)?;
            writers.push(run.usage)?;
            writers.push([run.run])?;
        }
        writers.finish()
    }

    /// Writes the files that have rows, `runs` last. Returns the rows and the bytes that the store has then.
    pub(super) async fn put(self, store: &Store, chunks: Chunks, members: &str) -> anyhow::Result<(Rows, u64)> {
        let (mut rows, mut bytes) = (Rows::new(), 0);
        for (table, file) in self.0.into_iter().filter(|(table, file)| is_needed(table, file.rows)) {
            let written = put(store, &name(table, chunks), file, members).await?;
            bytes += written.bytes.len() as u64;
            rows.insert(table.name.to_owned(), written.rows);
        }
        Ok((rows, bytes))
    }
}

struct Writers(Vec<(&'static Table, TableWriter)>);

impl Writers {
    fn new(members: &str) -> anyhow::Result<Self> {
        let writers = TABLES.into_iter().map(|table| Ok((table, TableWriter::new(table, members)?)));
        Ok(Self(writers.collect::<anyhow::Result<_>>()?))
    }

    fn push<R: Row>(&mut self, rows: impl IntoIterator<Item = R>) -> anyhow::Result<()> {
        let writer = self.0.iter_mut().find(|(table, _)| table.name == R::TABLE.name).map(|(_, writer)| writer);
        let writer = writer.context("a table that is not listed")?;
        rows.into_iter().try_for_each(|row| writer.push(row.values()))
    }

    fn finish(self) -> anyhow::Result<Files> {
        let files = self.0.into_iter().map(|(table, writer)| Ok((table, writer.finish()?)));
        Ok(Files(files.collect::<anyhow::Result<_>>()?))
    }
}

/// Writes a file, or keeps the one that is there if it has the same members: another version, or one with other
/// settings, may have made it.
async fn put(store: &Store, name: &FileName, file: TableFile, members: &str) -> anyhow::Result<TableFile> {
    let key = name.to_string();
    if store.put_new(&key, file.bytes.clone(), CONTENT_TYPE).await? == Put::Created {
        return Ok(file);
    }
    let bytes = store.get(&key).await?;
    if bytes == file.bytes {
        return Ok(file);
    }
    let (found, rows) = parquet_file::describe(bytes.clone()).with_context(|| format!("`{key}` exists"))?;
    anyhow::ensure!(
        found.as_deref() == Some(members),
        "`{key}` exists and has other runs: were tables and database set back to different times?"
    );
    Ok(TableFile { bytes, rows })
}

/// Merges several files of each table into one. The merged files stay until they are deleted.
pub(super) async fn merge(store: &Store, chunks: Chunks, from: &[Written]) -> anyhow::Result<(Rows, u64)> {
    let members = from.iter().map(|file| format!("{}-{} {:?}", file.chunks.first, file.chunks.last, file.rows));
    let members = digest(members);
    let (mut rows, mut bytes) = (Rows::new(), 0);
    // One table after the other, so that they are not in memory together.
    for table in TABLES {
        let mut writer = TableWriter::new(table, &members)?;
        for file in from {
            let Some(expected) = file.rows.get(table.name) else { continue };
            let key = name(table, file.chunks).to_string();
            let content = store.get(&key).await?;
            let (back, appended) = tokio::task::spawn_blocking(move || {
                let appended = writer.append(table, content);
                (writer, appended)
            })
            .await?;
            writer = back;
            let appended = appended.with_context(|| format!("`{key}` cannot be read"))?;
            anyhow::ensure!(appended == *expected, "`{key}` has {appended} rows, expected {expected}");
        }
        let file = tokio::task::spawn_blocking(move || writer.finish()).await??;
        if is_needed(table, file.rows) {
            let written = put(store, &name(table, chunks), file, &members).await?;
            bytes += written.bytes.len() as u64;
            rows.insert(table.name.to_owned(), written.rows);
        }
    }
    Ok((rows, bytes))
}

/// Deletes the files that a compacted file has replaced. A missing file is not an error.
pub(super) async fn delete(store: &Store, chunks: Chunks) -> Result<(), StoreError> {
    // `runs` first: while it is there, the chunk counts as complete.
    for table in TABLES.into_iter().rev() {
        store.delete(&name(table, chunks).to_string()).await?;
    }
    Ok(())
}

/// Identifies the members that a file is made of.
pub(super) fn digest(members: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let mut hasher = Sha256::new();
    for member in members {
        hasher.update(member.as_ref());
        hasher.update("\n");
    }
    hex::encode(hasher.finalize())
}
