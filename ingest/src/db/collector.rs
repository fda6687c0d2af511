//! The collector's functions for readers: stored events, evidence, its log and artifacts. Its tables are out of reach.

use database::GenericClient;
use database::row::{
    DbError, optional, optional_parsed, optional_timestamp, parsed, rows, signed, timestamp, unsigned,
};
use schemas::api::artifact::Artifact;
use schemas::id::{ApiKeyId, ArtifactId, OrgId, RunId, SandboxId};
use tokio_postgres::Row;

use crate::db::page::{Cursor, Page};

/// Consecutive events as one zstd frame.
#[derive(Debug)]
pub(crate) struct StoredSegment {
    pub first_seq: u64,
    pub last_seq: u64,
    pub plain_bytes: u64,
    pub frame: Vec<u8>,
}

/// A part of the event log in the object store.
#[derive(Debug)]
pub(crate) struct StoredPart {
    pub object_key: String,
    pub size_bytes: u64,
    pub first_seq: u64,
    pub last_seq: u64,
    pub index_offset: u64,
}

/// Segments that are not yet in the object store, from the one that holds the event after `after`; callers have
/// checked that the run is theirs.
pub(crate) async fn segments_after(
    client: &impl GenericClient,
    run: &RunId,
    after: u64,
    max_bytes: u64,
) -> Result<Vec<StoredSegment>, DbError> {
    let sql = "select first_seq, last_seq, plain_bytes, frame from collector.segments_after($1, $2, $3)";
    let found = rows(client, sql, &[&run.as_str(), &signed(after), &signed(max_bytes)]).await?;
    let segment = |row: &Row| {
        Ok(StoredSegment {
            first_seq: unsigned(row, "first_seq")?,
            last_seq: unsigned(row, "last_seq")?,
            plain_bytes: unsigned(row, "plain_bytes")?,
            frame: row.try_get("frame")?,
        })
    };
    found.iter().map(segment).collect()
}

pub(crate) async fn parts_of_run(client: &impl GenericClient, run: &RunId) -> Result<Vec<StoredPart>, DbError> {
    let sql = "select object_key, size_bytes, first_seq, last_seq, index_offset from collector.parts_of_run($1)";
    let part = |row: &Row| {
        Ok(StoredPart {
            object_key: row.try_get("object_key")?,
            size_bytes: unsigned(row, "size_bytes")?,
            first_seq: unsigned(row, "first_seq")?,
            last_seq: unsigned(row, "last_seq")?,
            index_offset: unsigned(row, "index_offset")?,
        })
    };
    rows(client, sql, &[&run.as_str()]).await?.iter().map(part).collect()
}

/// The object key of the sealed evidence.
pub(crate) async fn evidence_key(client: &impl GenericClient, run: &RunId) -> Result<Option<String>, DbError> {
    let sql = "select evidence_key from collector.evidence_of_run($1)";
    Ok(optional(client, sql, &[&run.as_str()]).await?.map(|row| row.try_get("evidence_key")).transpose()?)
}

/// A run's entry in the evidence log, and a checkpoint that covers it.
#[derive(Debug)]
pub(crate) struct LoggedEntry {
    pub leaf_index: u64,
    pub entry: Vec<u8>,
    pub checkpoint: String,
}

pub(crate) async fn logged_entry(client: &impl GenericClient, run: &RunId) -> Result<Option<LoggedEntry>, DbError> {
    let sql = "select leaf_index, entry, checkpoint from collector.log_entry_of_run($1)";
    let entry = |row: Row| {
        Ok(LoggedEntry {
            leaf_index: unsigned(&row, "leaf_index")?,
            entry: row.try_get("entry")?,
            checkpoint: row.try_get("checkpoint")?,
        })
    };
    optional(client, sql, &[&run.as_str()]).await?.map(entry).transpose()
}

/// Lists the public keys that signed, the oldest first.
pub(crate) async fn signing_keys(client: &impl GenericClient) -> Result<Vec<[u8; 32]>, DbError> {
    let column = "public_key";
    let key = |row: &Row| {
        let bytes: &[u8] = row.try_get(column)?;
        bytes
            .try_into()
            .map_err(|error: std::array::TryFromSliceError| DbError::Column { column, source: error.into() })
    };
    rows(client, "select public_key from collector.public_signing_keys()", &[]).await?.iter().map(key).collect()
}

pub(crate) async fn find_artifact(
    client: &impl GenericClient,
    org: &OrgId,
    id: &ArtifactId,
) -> Result<Option<Artifact>, DbError> {
    let sql = "select * from collector.find_artifact($1, $2)";
    optional(client, sql, &[&org.as_str(), &id.as_str()]).await?.map(|row| artifact(&row)).transpose()
}

/// Newest first; one more than the page holds, if there is one.
pub(crate) async fn artifacts_of_sandbox(
    client: &impl GenericClient,
    org: &OrgId,
    sandbox: &SandboxId,
    page: &Page,
) -> Result<Vec<(Artifact, Cursor)>, DbError> {
    let sql = "select * from collector.artifacts_of_sandbox($1, $2, $3, $4, $5)";
    let (at, id) = page.after();
    let found = rows(client, sql, &[&org.as_str(), &sandbox.as_str(), &at, &id, &page.one_more()]).await?;
    found.iter().map(|row| Ok((artifact(row)?, Cursor::of(row)?))).collect()
}

/// Marks an artifact as deleted, unless it is held; the collector deletes the bytes.
pub(crate) async fn delete_artifact(
    client: &impl GenericClient,
    org: &OrgId,
    id: &ArtifactId,
    by: &ApiKeyId,
) -> Result<Option<Artifact>, DbError> {
    let sql = "select * from collector.delete_artifact($1, $2, $3)";
    let found = optional(client, sql, &[&org.as_str(), &id.as_str(), &by.as_str()]).await?;
    found.map(|row| artifact(&row)).transpose()
}

fn artifact(row: &Row) -> Result<Artifact, DbError> {
    Ok(Artifact {
        id: parsed(row, "id")?,
        org_id: parsed(row, "org_id")?,
        project_id: parsed(row, "project_id")?,
        sandbox_id: parsed(row, "sandbox_id")?,
        workspace_run_id: parsed(row, "run_id")?,
        name: row.try_get("name")?,
        object_key: row.try_get("object_key")?,
        size_bytes: unsigned(row, "size_bytes")?,
        sha256: row.try_get("sha256")?,
        created_at: timestamp(row, "created_at")?,
        content_type: Some(row.try_get("content_type")?),
        source_path: Some(row.try_get("source_path")?),
        deleted_at: optional_timestamp(row, "deleted_at")?,
        retention_expires_at: optional_timestamp(row, "retention_expires_at")?,
        deletion_reason: optional_parsed(row, "deletion_reason")?,
    })
}
