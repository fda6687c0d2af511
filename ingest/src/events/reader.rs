//! Reads stored events in order: from segments in the database, or from parts that the collector has moved to the
//! object store.

use std::collections::VecDeque;
use std::sync::Arc;

use database::{DbError, Pool};
use infra::s3::Store;
use schemas::id::{OrgId, RunId};

use super::{frame, parts};
use crate::app::READ_BYTES;
use crate::db::collector;
use crate::http::budget::Budget;

pub(crate) use frame::Line;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Part(#[from] parts::PartError),
    #[error("a segment after {after}")]
    Frame { after: u64, source: frame::FrameError },
}

/// Reads one run; callers have checked that it is theirs to read.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pub pool: Pool,
    pub store: Store,
    pub run: RunId,
    /// Shared by all readers: a page is larger in memory while it is read.
    pub reads: Arc<Budget>,
    pub org: OrgId,
}

impl Reader {
    /// Reads at most `max_events` events after `after`, about `max_bytes` of them. The page is empty only if none are stored.
    pub(crate) async fn page(&self, after: u64, max_events: usize, max_bytes: u64) -> Result<Vec<Line>, ReadError> {
        let _read = self.reads.wait_for(&self.org, READ_BYTES).await;
        let (mut page, mut bytes, mut after) = (Vec::new(), 0u64, after);
        while page.len() < max_events && bytes < max_bytes {
            let mut found = VecDeque::from(self.next(after, max_bytes - bytes).await?);
            if found.is_empty() {
                break;
            }
            while page.len() < max_events
                && (bytes < max_bytes || page.is_empty())
                && let Some(line) = found.pop_front()
            {
                bytes += line.json.len() as u64;
                after = line.seq;
                page.push(line);
            }
        }
        Ok(page)
    }

    /// The events after `after` that one place holds.
    async fn next(&self, after: u64, max_bytes: u64) -> Result<Vec<Line>, ReadError> {
        let client = self.pool.get().await.map_err(DbError::from)?;
        let segments = collector::segments_after(&client, &self.run, after, max_bytes).await?;
        let first = segments.first().map(|segment| segment.first_seq);
        // Parts are asked for second: a segment that moves in between is seen twice, never missed.
        if first.is_none_or(|first| first > after + 1) {
            let parts = collector::parts_of_run(&client, &self.run).await?;
            drop(client);
            let part = parts.iter().find(|part| part.last_seq > after);
            if let Some(part) = part.filter(|part| first.is_none_or(|first| part.first_seq < first)) {
                return Ok(newer(parts::read(&self.store, part, after, max_bytes).await?, after));
            }
        }
        let mut found = Vec::new();
        for segment in segments {
            let lines = frame::lines(&segment.frame, segment.first_seq, segment.last_seq, segment.plain_bytes);
            found.extend(lines.map_err(|source| ReadError::Frame { after, source })?);
        }
        Ok(newer(found, after))
    }
}

/// A frame may begin before the event that was asked for.
fn newer(mut lines: Vec<Line>, after: u64) -> Vec<Line> {
    lines.retain(|line| line.seq > after);
    lines
}
