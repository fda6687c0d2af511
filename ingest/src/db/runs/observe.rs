//! Cheap queries over many runs, for live streams and for metrics.

use database::GenericClient;
use database::row::{DbError, one, parsed, rows, unsigned};
use schemas::id::RunId;
use schemas::run::RunStatus;

/// The progress of a run's stored events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub last_seq: u64,
    /// `last_seq` is the terminal event.
    pub terminal: bool,
}

/// Unfinished runs of one state; `unclaimed` ones wait for a slot or in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenRuns {
    pub status: RunStatus,
    pub unclaimed: bool,
    pub count: i64,
}

/// Reads the progress of runs of any organization; callers have checked access to each run before.
pub(crate) async fn progress_of(
    client: &impl GenericClient,
    runs: &[RunId],
) -> Result<Vec<(RunId, Progress)>, DbError> {
    let sql = "select id, next_seq, ended as terminal
        from ingest.runs where id = any ($1)";
    let ids: Vec<&str> = runs.iter().map(RunId::as_str).collect();
    let found = rows(client, sql, &[&ids]).await?;
    let progress = |row: &tokio_postgres::Row| {
        let last_seq = unsigned(row, "next_seq")?.saturating_sub(1);
        Ok((parsed(row, "id")?, Progress { last_seq, terminal: row.try_get("terminal")? }))
    };
    found.iter().map(progress).collect()
}

pub(crate) async fn open_runs(client: &impl GenericClient) -> Result<Vec<OpenRuns>, DbError> {
    let sql = "select status, status = 'starting' and attempt = 0 as unclaimed, count(*) as count
        from ingest.runs where not ended group by 1, 2";
    let open = |row: &tokio_postgres::Row| {
        let (unclaimed, count) = (row.try_get("unclaimed")?, row.try_get("count")?);
        Ok(OpenRuns { status: parsed(row, "status")?, unclaimed, count })
    };
    rows(client, sql, &[]).await?.iter().map(open).collect()
}

/// Counts messages that are committed and not yet published.
pub(crate) async fn outbox_depth(client: &impl GenericClient) -> Result<i64, DbError> {
    Ok(one(client, "select count(*) from ingest.outbox", &[]).await?.try_get(0)?)
}
