//! `collector.artifacts`: the artifacts of sealed runs, from their seal until their bytes have left the store.

use std::time::SystemTime;

use database::{Error, GenericClient};
use schemas::Timestamp;
use schemas::id::SandboxId;
use schemas::message::CollectedArtifact;
use schemas::tombstone::{self, Tombstone};

use super::runs::RunRow;
use super::{from_sql, to_sql};

/// Inserts what an executor collected, with the retention of its project, or else of the organization's plan.
pub(crate) async fn insert(
    client: &impl GenericClient,
    run: &RunRow,
    sandbox: &SandboxId,
    sealed_at: Timestamp,
    artifacts: &[CollectedArtifact],
) -> Result<(), Error> {
    if artifacts.is_empty() {
        return Ok(());
    }
    let sql = "select coalesce(
                   (select artifact_seconds from collector.retention_policies where project_id = $2),
                   (select retention_days * 86400::int8 from metering.plan_of($1)))";
    let statement = client.prepare_cached(sql).await?;
    let row = client.query_one(&statement, &[&run.org_id.as_str(), &run.project_id.as_str()]).await?;
    let seconds = row.get::<_, Option<i64>>(0).map(from_sql);
    let expires = seconds.map(|seconds| sealed_at.plus_millis(seconds.saturating_mul(1000)).into_inner());
    for artifact in artifacts {
        let sql = "insert into collector.artifacts (id, org_id, project_id, run_id, sandbox_id, name, source_path,
                       object_key, size_bytes, sha256, content_type, created_at, retention_expires_at)
                   values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) on conflict do nothing";
        let statement = client.prepare_cached(sql).await?;
        client
            .execute(
                &statement,
                &[
                    &artifact.id.as_str(),
                    &run.org_id.as_str(),
                    &run.project_id.as_str(),
                    &run.id.as_str(),
                    &sandbox.as_str(),
                    &artifact.name,
                    &artifact.path,
                    &artifact.object_key,
                    &to_sql(artifact.size_bytes),
                    &artifact.sha256,
                    &artifact.content_type,
                    &artifact.created_at.into_inner(),
                    &expires,
                ],
            )
            .await?;
    }
    Ok(())
}

/// Marks what has expired and is not held, oldest first. What others are marking is left to them.
pub(crate) async fn expire(client: &impl GenericClient, limit: i64) -> Result<u64, Error> {
    respect_legal_holds(client).await?;
    let sql = "update collector.artifacts set deleted_at = date_trunc('milliseconds', clock_timestamp()),
                   purge_at = clock_timestamp(), deletion_reason = 'retention'
               where id in (
                   select id from collector.artifacts
                   where deleted_at is null and retention_expires_at <= now() and not collector.is_held(run_id, project_id)
                   order by retention_expires_at limit $1 for update skip locked)";
    client.execute(&client.prepare_cached(sql).await?, &[&limit]).await
}

/// Deleted artifacts whose bytes are to go now, as their tombstones tell of them: not before a hold that is over has left
/// the store, too. They are the caller's until its
/// transaction ends.
pub(crate) async fn lock_purgeable(client: &impl GenericClient, limit: i64) -> anyhow::Result<Vec<Tombstone>> {
    respect_legal_holds(client).await?;
    let sql = "select id, org_id, project_id, run_id, name, source_path, object_key, size_bytes, sha256, deleted_at,
                   deletion_reason, deleted_by
               from collector.artifacts
               where purge_at <= now() and not collector.is_held(run_id, project_id)
                   and not exists (select from collector.store_holds as held where held.run_id = artifacts.run_id and in_store)
               order by purge_at limit $1 for update skip locked";
    let rows = client.query(&client.prepare_cached(sql).await?, &[&limit]).await?;
    rows.iter()
        .map(|row| {
            Ok(Tombstone {
                schema_version: tombstone::SCHEMA_VERSION.to_owned(),
                artifact_id: row.get::<_, &str>("id").parse()?,
                workspace_run_id: row.get::<_, &str>("run_id").parse()?,
                org_id: row.get::<_, &str>("org_id").parse()?,
                project_id: row.get::<_, &str>("project_id").parse()?,
                path: row.get("source_path"),
                name: row.get("name"),
                object_key: row.get("object_key"),
                size_bytes: from_sql(row.get("size_bytes")),
                sha256: row.get("sha256"),
                deleted_at: row.get::<_, time::OffsetDateTime>("deleted_at").into(),
                reason: row.get::<_, &str>("deletion_reason").parse()?,
                deleted_by: row.get::<_, Option<&str>>("deleted_by").map(str::parse).transpose()?,
            })
        })
        .collect()
}

/// Until the transaction ends no legal hold begins; so the statement after this one sees all that there are.
async fn respect_legal_holds(client: &impl GenericClient) -> Result<(), Error> {
    let statement = client.prepare_cached("select collector.respect_legal_holds()").await?;
    client.execute(&statement, &[]).await.map(drop)
}

/// The bytes have left the store.
pub(crate) async fn purged(client: &impl GenericClient, ids: &[&str]) -> Result<(), Error> {
    let sql = "update collector.artifacts set purge_at = null where id = any($1)";
    client.execute(&client.prepare_cached(sql).await?, &[&ids]).await.map(drop)
}

/// To be tried again, but not before these times.
pub(crate) async fn postpone(client: &impl GenericClient, later: &[(&str, SystemTime)]) -> Result<(), Error> {
    let (ids, times): (Vec<&str>, Vec<SystemTime>) = later.iter().copied().unzip();
    let sql = "update collector.artifacts set purge_at = later.at
               from unnest($1::text[], $2::timestamptz[]) as later (id, at) where artifacts.id = later.id";
    client.execute(&client.prepare_cached(sql).await?, &[&ids, &times]).await.map(drop)
}

/// What should be gone and is not.
#[derive(Debug)]
pub(crate) struct Due {
    /// Expired, or deleted with bytes that are still there, and under a legal hold.
    pub held: i64,
    /// For how long the oldest of the others should have been gone.
    pub oldest_seconds: f64,
}

pub(crate) async fn due(client: &impl GenericClient) -> Result<Due, Error> {
    let sql = "select count(*) filter (where held) as held,
                   coalesce(extract(epoch from now() - min(since) filter (where not held)), 0)::float8 as oldest
               from (
                   select retention_expires_at as since, collector.is_held(run_id, project_id) as held
                   from collector.artifacts where deleted_at is null and retention_expires_at <= now()
                   union all
                   select deleted_at, collector.is_held(run_id, project_id)
                   from collector.artifacts where purge_at is not null
               ) as due";
    let row = client.query_one(&client.prepare_cached(sql).await?, &[]).await?;
    Ok(Due { held: row.get("held"), oldest_seconds: row.get("oldest") })
}
