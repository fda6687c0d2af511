//! The one writer of the tables: assigns sealed runs to chunks, writes chunks, compacts past days. Each step is
//! repeated after a crash: the database fixes what a file holds before the file is written.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Context as _;
use database::Client;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use infra::s3::Store;
use time::Date;

use super::config::TablesConfig;
use super::evidence::{self, RunRows};
use super::files::{self, Files, digest};
use super::iceberg::{IcebergConfig, IcebergMetrics, Link};
use super::metrics::LakeMetrics;
use crate::db::lake_files::{self, Chunks, Member, Rows, Written};
use crate::recent_objects::RecentObjects;

/// Maximum runs of a chunk, and test cases beyond its first run: they bound the memory.
const RUNS: usize = 2_000;
const CASES: u64 = 50_000;
/// Maximum chunks of one look at the backlog.
const FILES: usize = 64;
const CONCURRENT_READS: usize = 8;
/// Maximum size of compacted files, all tables together.
const COMPACTED_BYTES: u64 = 128 << 20;

#[derive(Debug)]
pub(crate) struct Lake {
    pub store: Store,
    /// Objects that need not be fetched from the store.
    pub recent_objects: RecentObjects,
    pub config: TablesConfig,
    pub metrics: LakeMetrics,
    pub iceberg: IcebergConfig,
    pub iceberg_metrics: IcebergMetrics,
}

/// The writer, owned by the session that holds the lock.
pub(super) struct Writer<'a> {
    pub lake: &'a Lake,
    /// The session that holds the lock: without it nothing can be assigned or planned.
    pub client: Client,
    /// The link to the registrar, if there is a catalog.
    pub catalog: Option<Link>,
}

impl Writer<'_> {
    /// Works until something fails.
    pub(super) async fn work(mut self) -> anyhow::Result<()> {
        loop {
            let more = self.take_in().await?;
            self.tell_catalog().await?;
            let tidied = self.tidy().await?;
            if !more && !tidied {
                self.rest().await?;
            }
        }
    }

    /// Assigns waiting runs, and writes unwritten chunks; true if there may be more.
    async fn take_in(&mut self) -> anyhow::Result<bool> {
        let more = self.assign().await?;
        let unwritten = lake_files::unwritten(&self.client, FILES).await?;
        for chunks in &unwritten {
            self.write(*chunks).await?;
            self.catalog.iter_mut().for_each(Link::wrote);
        }
        Ok(more || unwritten.len() == FILES)
    }

    /// Tells the registrar which files there are. New runs do not wait for a catalog.
    async fn tell_catalog(&mut self) -> anyhow::Result<()> {
        let Some(catalog) = &mut self.catalog else { return Ok(()) };
        catalog.look();
        if catalog.wants_order() {
            catalog.order(lake_files::current(&self.client).await?);
        }
        Ok(())
    }

    /// Deletes replaced files, and plans the next compaction; true if there is one. Does nothing before the catalog has
    /// all current files, since its readers would not find the deleted ones.
    async fn tidy(&mut self) -> anyhow::Result<bool> {
        if self.catalog.as_ref().is_some_and(|catalog| !catalog.is_in_sync()) {
            return Ok(false);
        }
        for chunks in lake_files::replaced(&self.client).await? {
            files::delete(&self.lake.store, chunks).await?;
            lake_files::forget(&self.client, chunks).await?;
        }
        self.plan().await
    }

    /// Rests until the next chunk is due, or something else is to be done.
    async fn rest(&mut self) -> anyhow::Result<()> {
        let end = tokio::time::Instant::now() + self.lake.config.interval();
        loop {
            let registered = async {
                match &mut self.catalog {
                    Some(catalog) => catalog.ended().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = tokio::time::sleep_until(end) => return Ok(()),
                () = registered => {
                    if self.tidy().await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Assigns waiting runs to new chunks, one for each day; true if there may be more.
    async fn assign(&mut self) -> anyhow::Result<bool> {
        let transaction = self.client.transaction().await?;
        let waiting = lake_files::waiting(&transaction, RUNS).await?;
        let mut days: BTreeMap<Date, Vec<&str>> = BTreeMap::new();
        let (mut taken, mut cases) = (0, 0);
        for run in &waiting {
            cases += run.test_cases;
            if taken > 0 && cases > CASES {
                break;
            }
            days.entry(run.date).or_default().push(run.run_id.as_str());
            taken += 1;
        }
        for (date, runs) in days {
            lake_files::assign(&transaction, date, &runs).await?;
        }
        transaction.commit().await?;
        Ok(taken < waiting.len() || taken == RUNS)
    }

    /// Writes one chunk, or the file of a planned compaction.
    async fn write(&self, chunks: Chunks) -> anyhow::Result<()> {
        let begun = Instant::now();
        let (rows, bytes) = if chunks.first == chunks.last {
            self.write_chunk(chunks).await?
        } else {
            let from = lake_files::within(&self.client, chunks.date, Some((chunks.first, chunks.last))).await?;
            files::merge(&self.lake.store, chunks, &from).await?
        };
        lake_files::finish(&self.client, chunks, &rows, bytes).await?;
        self.lake.metrics.written(chunks, &rows, begun.elapsed());
        Ok(())
    }

    async fn write_chunk(&self, chunk: Chunks) -> anyhow::Result<(Rows, u64)> {
        let members = lake_files::members(&self.client, chunk.first).await?;
        let identity = digest(members.iter().map(|member| member.run_id.as_str()));
        let reads = members.into_iter().map(|member| self.read(member).boxed());
        let runs: Vec<Option<RunRows>> = stream::iter(reads).buffered(CONCURRENT_READS).try_collect().await?;
        let identified = identity.clone();
        let files = tokio::task::spawn_blocking(move || Files::of(runs.into_iter().flatten(), &identified)).await??;
        files.put(&self.lake.store, chunk, &identity).await
    }

    /// Reads the rows of a run. One whose evidence was changed or removed has no rows, and does not hold up the others.
    async fn read(&self, member: Member) -> anyhow::Result<Option<RunRows>> {
        match evidence::read(&self.lake.store, &self.lake.recent_objects, &member, self.lake.config.messages()).await {
            Ok(rows) => Ok(Some(rows)),
            Err(error) if error.is_permanent() => {
                self.lake.metrics.unreadable.inc();
                tracing::error!(run = %member.run_id, %error, "cannot read the evidence of a run; leaving it out of the tables");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Plans the next compaction of a past day; true if there is one.
    async fn plan(&self) -> anyhow::Result<bool> {
        let settle = self.lake.config.settle();
        let Some(date) = lake_files::to_compact(&self.client, settle, COMPACTED_BYTES).await? else { return Ok(false) };
        let files = lake_files::within(&self.client, date, None).await?;
        let chunks = mergeable(&files).context("neighbours that fit into one file")?;
        lake_files::plan(&self.client, chunks).await?;
        Ok(true)
    }
}

/// The first neighbours that together are not too large for one file.
fn mergeable(files: &[Written]) -> Option<Chunks> {
    let mut group: Option<(Chunks, u64)> = None;
    for file in files {
        match group {
            Some((merged, bytes)) if bytes + file.bytes <= COMPACTED_BYTES => {
                group = Some((Chunks { last: file.chunks.last, ..merged }, bytes + file.bytes));
            }
            Some((merged, _)) if merged.first < file.chunks.first && is_several(merged, files) => return Some(merged),
            _ => group = Some((file.chunks, file.bytes)),
        }
    }
    group.map(|(merged, _)| merged).filter(|merged| is_several(*merged, files))
}

fn is_several(merged: Chunks, files: &[Written]) -> bool {
    !files.iter().any(|file| file.chunks == merged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::date;

    #[test]
    fn neighbours_are_merged_up_to_a_size() {
        let file = |first, last, mib: u64| Written {
            chunks: Chunks { date: date!(2026 - 01 - 31), first, last },
            rows: Rows::new(),
            bytes: mib << 20,
        };
        for (files, expected) in [
            (vec![], None),
            (vec![file(1, 1, 1)], None),
            (vec![file(1, 9, 1)], None),
            (vec![file(1, 1, 1), file(4, 4, 1)], Some((1, 4))),
            (vec![file(1, 1, 100), file(2, 2, 100)], None),
            (vec![file(1, 3, 127), file(4, 4, 1), file(5, 5, 1), file(6, 6, 1)], Some((1, 4))),
            (vec![file(1, 4, 128), file(5, 5, 1), file(6, 6, 1)], Some((5, 6))),
            (vec![file(1, 1, 200), file(2, 2, 200), file(3, 3, 1), file(9, 9, 1)], Some((3, 9))),
        ] {
            let found = mergeable(&files).map(|chunks| (chunks.first, chunks.last));
            assert_eq!(found, expected, "{files:?}");
        }
    }
}
