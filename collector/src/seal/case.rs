//! One ended run with everything that its Evidence Bundle is made of.

use anyhow::Context as _;
use schemas::event::{Event, EventKind};
use schemas::evidence::SeqRange;
use schemas::evidence::event_log::Part;
use schemas::message::Segment;

use super::ending::Ending;
use super::event_log_parts;
use crate::db::log_parts::StoredPart;
use crate::db::runs::{AttemptRow, RunRow};
use crate::db::seals::Unsealed;
use crate::db::segments::StoredSegment;

/// Fixed, so that a repetition gives the same bytes.
const ZSTD_LEVEL: i32 = 1;

#[derive(Debug)]
pub(super) struct Case {
    pub row: RunRow,
    pub attempts: Vec<AttemptRow>,
    pub decision: Unsealed,
    pub ending: Ending,
    pub gaps: Vec<SeqRange>,
    /// Parts that are in the object store already.
    pub parts: Vec<StoredPart>,
    /// The segments of the last part, without the terminal event.
    pub segments: Vec<StoredSegment>,
}

impl Case {
    /// The one terminal event, as the last segment of the log.
    pub(super) fn terminal_segment(&self) -> anyhow::Result<Segment> {
        let seq = self.decision.last_seq + 1;
        let run = self.row.to_workspace_run(self.ending.status, self.ending.result.clone());
        let kind = EventKind::Terminal { workspace_run: Box::new(run) };
        let mut line = serde_json::to_vec(&Event { seq, created_at: self.decision.decided_at, kind })?;
        line.push(b'\n');
        Ok(Segment {
            first_seq: seq,
            last_seq: seq,
            plain_bytes: line.len() as u64,
            status: Some(self.ending.status),
            frame: zstd::bulk::compress(&line, ZSTD_LEVEL)?.into(),
        })
    }

    pub(super) fn last_part(&self, terminal: &Segment) -> anyhow::Result<Part> {
        let mut builder = event_log_parts::build(&self.segments);
        builder.push(terminal.first_seq, terminal.last_seq, terminal.plain_bytes, &terminal.frame);
        builder.finish().context("a log without its terminal event")
    }
}
