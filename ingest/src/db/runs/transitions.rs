//! The changes that ingest makes to a run. Each is a conditional update that returns the changed run.

use database::GenericClient;
use database::row::{DbError, Params, optional, rows, signed};
use schemas::Timestamp;
use schemas::id::{OrgId, RunId};

use super::Run;
use crate::archive::Declared;

async fn change(client: &impl GenericClient, sql: &str, params: Params<'_>) -> Result<Option<Run>, DbError> {
    optional(client, sql, params).await?.map(|row| Run::from_row(&row)).transpose()
}

/// Changes `awaiting_archive` to `archive_uploaded`.
pub(crate) async fn attach_archive(
    client: &impl GenericClient,
    org: &OrgId,
    id: &RunId,
    archive: &Declared,
) -> Result<Option<Run>, DbError> {
    let sql = "update ingest.runs
        set status = 'archive_uploaded', archive_sha256 = $3, archive_size = $4, uploaded_at = clock_timestamp()
        where org_id = $1 and id = $2 and status = 'awaiting_archive' and cancel_requested_at is null
          and expired_at is null
        returning *";
    change(client, sql, &[&org.as_str(), &id.as_str(), &archive.sha256, &signed(archive.size_bytes)]).await
}

/// Changes `archive_uploaded` to `starting`.
pub(crate) async fn start(
    client: &impl GenericClient,
    org: &OrgId,
    id: &RunId,
    queued_at: Timestamp,
) -> Result<Option<Run>, DbError> {
    let sql = "update ingest.runs set status = 'starting', queued_at = $3
        where org_id = $1 and id = $2 and status = 'archive_uploaded' and cancel_requested_at is null
          and expired_at is null
        returning *";
    change(client, sql, &[&org.as_str(), &id.as_str(), &queued_at.into_inner()]).await
}

/// Records the request to cancel a run; the first request counts.
pub(crate) async fn request_cancel(
    client: &impl GenericClient,
    org: &OrgId,
    id: &RunId,
) -> Result<Option<Run>, DbError> {
    let sql = "update ingest.runs set cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp())
        where org_id = $1 and id = $2 and not ended
        returning *";
    change(client, sql, &[&org.as_str(), &id.as_str()]).await
}

/// Marks at most `limit` runs of all organizations that were not started within `age_ms`, each once.
pub(crate) async fn expire_unstarted(
    client: &impl GenericClient,
    age_ms: u64,
    limit: i64,
) -> Result<Vec<Run>, DbError> {
    let sql = "update ingest.runs set expired_at = clock_timestamp()
        where id in (
            select id from ingest.runs
            where not ended and status in ('awaiting_archive', 'archive_uploaded') and expired_at is null
              and cancel_requested_at is null and attempt = 0
              and created_at < now() - $1::bigint * interval '1 millisecond'
            order by created_at limit $2 for update skip locked)
        returning *";
    rows(client, sql, &[&signed(age_ms), &limit]).await?.iter().map(Run::from_row).collect()
}
