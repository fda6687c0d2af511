//! `events_index`: the places of a run's events in the store, so that one range request gets a few of them.

use super::table::row;
use crate::evidence::event_log::IndexEntry;
use crate::evidence::{EventLogPart, EvidenceBundle};

row! {
    EventsIndexRow: "events_index", "A piece of an event log: a segment, or neighbours where there are thousands; zstd frames of NDJSON.", key ["workspace_run_id", "first_seq"] {
        workspace_run_id: String = "Id of the run.",
        org_id: String = "Organization: the tenant.",
        project_id: String = "Project of the organization.",
        part: u64 = "Which part of the log, from 0.",
        object_key: String = "Object key of the part, in the same bucket.",
        first_seq: u64 = "Number of the first event in it.",
        last_seq: u64 = "Number of the last one.",
        offset_bytes: u64 = "Where it begins in the part.",
        length_bytes: u64 = "Its length in the part.",
        plain_bytes: u64 = "Length of the NDJSON, decompressed.",
    }
}

impl EventsIndexRow {
    pub fn of(bundle: &EvidenceBundle, number: usize, part: &EventLogPart, entry: &IndexEntry) -> Self {
        Self {
            workspace_run_id: bundle.workspace_run_id.to_string(),
            org_id: bundle.org_id.to_string(),
            project_id: bundle.project_id.to_string(),
            part: number as u64,
            object_key: part.object_key.clone(),
            first_seq: entry.first_seq,
            last_seq: entry.last_seq,
            offset_bytes: entry.offset,
            length_bytes: entry.length,
            plain_bytes: entry.plain_bytes,
        }
    }
}
