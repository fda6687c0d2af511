//! `collector.artifacts`: the artifacts of sealed runs, from their seal until their bytes have left the store.

use std::time::SystemTime;

use database::GenericClient;
use schemas::Timestamp;
use schemas::artifact::tombstone::{self, Tombstone};
use schemas::id::SandboxId;
use schemas::message::CollectedArtifact;

use super::runs::RunRow;
use super::{DbError, execute, one, optional_parsed, optional_unsigned, parsed, rows, signed, timestamp, unsigned};

/// Inserts what an executor collected, with the retention of its project, or else of the organization's plan.
pub(crate) async fn insert(
    client: &impl GenericClient,
    run: &RunRow,
    sandbox: &SandboxId,
    sealed_at: Timestamp,
    artifacts: &[CollectedArtifact],
) -> Result<(), DbError> {
    if artifacts.is_empty() {
        return Ok(());
    }
    let sql = "select coalesce(
                   (select artifact_seconds from collector.retention_policies where project_id = $2),
                   (select retention_days * 86400::int8 from metering.plan_of($1))) as seconds";
    let row = one(client, sql, &[&run.org_id.as_str(), &run.project_id.as_str()]).await?;
    let seconds = optional_unsigned(&row, "seconds")?;
    let expires = seconds.map(|seconds| sealed_at.plus_millis(seconds.saturating_mul(1000)).into_inner());
    for artifact in artifacts {
        let sql = "insert into collector.artifacts (id, org_id, project_id, run_id, sandbox_id, name, source_path,
                       object_key, size_bytes, sha256, content_type, created_at, retention_expires_at)
                   values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) on conflict do nothing";
        let parameters: database::row::Params<'_> = &[
            &artifact.id.as_str(),
            &run.org_id.as_str(),
            &run.project_id.as_str(),
            &run.id.as_str(),
            &sandbox.as_str(),
            &artifact.name,
            &artifact.path,
            &artifact.object_key,
            &signed(artifact.size_bytes),
            &artifact.sha256,
            &artifact.content_type,
            &artifact.created_at.into_inner(),
            &expires,
        ];
        execute(client, sql, parameters).await?;
    }
    Ok(())
}

/// Marks artifacts that have expired and are not held, oldest first. Skips those that another collector is marking.
pub(crate) async fn expire(client: &impl GenericClient, limit: i64) -> Result<u64, DbError> {
    respect_legal_holds(client).await?;
    let sql = "update collector.artifacts set deleted_at = date_trunc('milliseconds', clock_timestamp()),
                   purge_at = clock_timestamp(), deletion_reason = 'retention'
               where id in (
                   select id from collector.artifacts
                   where deleted_at is null and retention_expires_at <= now() and not collector.is_held(run_id, project_id)
                   order by retention_expires_at limit $1 for update skip locked)";
    execute(client, sql, &[&limit]).await
}

/// Locks deleted artifacts whose bytes are to go now until the caller's transaction ends, and returns their tombstones.
/// Waits until a hold that is over has left the store, too.
pub(crate) async fn lock_purgeable(client: &impl GenericClient, limit: i64) -> Result<Vec<Tombstone>, DbError> {
    respect_legal_holds(client).await?;
    let sql = "select id, org_id, project_id, run_id, name, source_path, object_key, size_bytes, sha256, deleted_at,
                   deletion_reason, deleted_by
               from collector.artifacts
               where purge_at <= now() and not collector.is_held(run_id, project_id)
                   and not exists (select from collector.store_holds as held where held.run_id = artifacts.run_id and in_store)
               order by purge_at limit $1 for update skip locked";
    let found = rows(client, sql, &[&limit]).await?;
    found
        .iter()
        .map(|row| {
            Ok(Tombstone {
                schema_version: tombstone::SCHEMA_VERSION.to_owned(),
                artifact_id: parsed(row, "id")?,
                workspace_run_id: parsed(row, "run_id")?,
                org_id: parsed(row, "org_id")?,
                project_id: parsed(row, "project_id")?,
                path: row.try_get("source_path")?,
                name: row.try_get("name")?,
                object_key: row.try_get("object_key")?,
                size_bytes: unsigned(row, "size_bytes")?,
                sha256: row.try_get("sha256")?,
                deleted_at: timestamp(row, "deleted_at")?,
                reason: parsed(row, "deletion_reason")?,
                deleted_by: optional_parsed(row, "deleted_by")?,
            })
        })
        .collect()
}

/// No legal hold begins until the transaction ends, so that its next statement sees all holds.
async fn respect_legal_holds(client: &impl GenericClient) -> Result<(), DbError> {
    execute(client, "select collector.respect_legal_holds()", &[]).await.map(drop)
}

/// Notes that the bytes have left the store.
pub(crate) async fn purged(client: &impl GenericClient, ids: &[&str]) -> Result<(), DbError> {
    let sql = "update collector.artifacts set purge_at = null where id = any($1)";
    execute(client, sql, &[&ids]).await.map(drop)
}

/// Puts off the purge of these artifacts until the given times.
pub(crate) async fn postpone(client: &impl GenericClient, later: &[(&str, SystemTime)]) -> Result<(), DbError> {
    let (ids, times): (Vec<&str>, Vec<SystemTime>) = later.iter().copied().unzip();
    let sql = "update collector.artifacts set purge_at = later.at
               from unnest($1::text[], $2::timestamptz[]) as later (id, at) where artifacts.id = later.id";
    execute(client, sql, &[&ids, &times]).await.map(drop)
}

/// Artifacts that should be gone and are not.
#[derive(Debug)]
pub(crate) struct Due {
    /// Number under a legal hold: expired, or deleted with bytes that are still there.
    pub held: i64,
    /// Time for which the oldest of the others should have been gone.
    pub oldest_seconds: f64,
}

pub(crate) async fn due(client: &impl GenericClient) -> Result<Due, DbError> {
    let sql = "select count(*) filter (where held) as held,
                   coalesce(extract(epoch from now() - min(since) filter (where not held)), 0)::float8 as oldest
               from (
                   select retention_expires_at as since, collector.is_held(run_id, project_id) as held
                   from collector.artifacts where deleted_at is null and retention_expires_at <= now()
                   union all
                   select deleted_at, collector.is_held(run_id, project_id)
                   from collector.artifacts where purge_at is not null
               ) as due";
    let row = one(client, sql, &[]).await?;
    Ok(Due { held: row.try_get("held")?, oldest_seconds: row.try_get("oldest")? })
}
